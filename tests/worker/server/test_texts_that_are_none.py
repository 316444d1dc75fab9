"""A TEXT message that is not UTF-8 is its sender's fault: said so, and nothing in the log."""

import asyncio

import pytest
import websockets
from support.servers.worker_server import command
from support.viewers.raw_viewer import RawViewer, connected

PATIENCE = 60.0


@pytest.mark.parametrize(
    "parts",
    [[b"\xff\xfe"], [b'{"prompt": "caf\xe9"}'], [b"\xed\xa0\x80"], [b"half \xc3", b"\x28"]],
    ids=["no text", "Latin-1", "half a surrogate pair", "in two frames"],
)
async def test_it_is_closed_with_1007_in_words_and_leaves_no_traceback(parts: list[bytes]) -> None:
    async with command() as worker:
        async with connected(worker.url) as viewer:
            send_parts(viewer, parts)
            with pytest.raises(websockets.ConnectionClosed) as caught:
                async with asyncio.timeout(PATIENCE):
                    await viewer.socket.recv()
        closed = caught.value.rcvd
        assert closed is not None
        assert (closed.code, closed.reason) == (1007, "a TEXT message that is not UTF-8")
        async with connected(worker.url) as another:
            await another.say(prompt="a", num_blocks=1, width=64, height=64)
            assert len((await another.stream()).frames) == 6
        worker.signal()
        assert await worker.exit_code() == 0
    log = "".join(worker.log)
    assert "Traceback" not in log and "ERROR" not in log, log


def send_parts(viewer: RawViewer, parts: list[bytes]) -> None:
    """One TEXT message in these frames, past the client's own check that it is text."""
    protocol = viewer.socket.protocol
    for place, part in enumerate(parts):
        send = protocol.send_continuation if place else protocol.send_text
        send(part, fin=place == len(parts) - 1)
    for data in protocol.data_to_send():
        viewer.socket.transport.write(data)
