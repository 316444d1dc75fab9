"""TLS that is never agreed on: dropped in time, counted until then, and no matter to others."""

import asyncio
import ssl
from pathlib import Path

import pytest
from support.servers.certificate import localhost_pem
from support.servers.worker_server import PATIENCE, serving
from support.viewers.raw_viewer import SMALL, RawViewer, connected

from framewire.worker.server.doors import listener


async def stream(viewer: RawViewer) -> list[bytes]:
    await viewer.say(prompt="a", seed=1, num_blocks=2, **SMALL)
    return (await viewer.stream()).frames


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_tls_handshake_that_hangs_or_is_none_is_dropped_and_others_stream_on(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = localhost_pem(tmp_path)
    trusting = ssl.create_default_context(cafile=pem)
    async with (
        serving(ssl_certfile=pem, ssl_keyfile=pem) as worker,
        connected(f"wss://127.0.0.1:{worker.port}/ws", ssl=trusting) as viewer,
    ):
        alone = await stream(viewer)
        monkeypatch.setattr(listener, "TLS_SECONDS", 0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(said)
        assert await stream(viewer) == alone
        async with asyncio.timeout(PATIENCE):
            assert b"HTTP" not in await reader.read()
            while worker.inside.metrics.sockets._value.get() > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()


async def test_a_worker_stops_while_a_tls_handshake_hangs(tmp_path: Path) -> None:
    pem = localhost_pem(tmp_path)
    async with serving(ssl_certfile=pem, ssl_keyfile=pem) as worker:
        _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        async with asyncio.timeout(PATIENCE):
            while not worker.inside.metrics.sockets._value.get():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    writer.close()
