"""More connections than there are descriptors: nobody who is served notices, and the log stays small."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from support.servers.worker_server import PATIENCE, Command, command
from support.viewers.raw_viewer import SMALL, RawViewer, connected, streamed

FEW_DESCRIPTORS = Path(__file__).parents[1] / "support" / "servers" / "few_descriptors_worker.py"
FLOOD = 300
STREAM = {"prompt": "a", "seed": 1, "num_blocks": 20}
LINES = 30
"""Of log that a flood may cost; a start has a dozen."""


@asynccontextmanager
async def flood(url: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that say nothing."""
    at = urlsplit(url)
    async with AsyncExitStack() as held:
        readers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            held.callback(writer.close)
            readers.append(reader)
        yield readers


async def refusals(worker: Command) -> float:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        text = (await client.get(f"{worker.http}/metrics")).text
    (line,) = (each for each in text.splitlines() if 'refusals_total{reason="conn' in each)
    return float(line.split()[-1])


async def served_on(viewer: RawViewer) -> list[bytes]:
    await viewer.say(**STREAM, **SMALL)
    return (await viewer.stream()).frames


async def test_a_flood_of_connections_is_closed_beyond_the_room_and_others_stream_on() -> None:
    async with command(program=FEW_DESCRIPTORS) as worker:
        alone = await streamed(worker.url, **STREAM)
        async with connected(worker.url) as viewer, flood(worker.url, FLOOD) as readers:
            closed = {asyncio.create_task(reader.read()) for reader in readers}
            done, open_still = await asyncio.wait(
                closed, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            assert done and open_still, "some are held, some were closed at once"
            assert await served_on(viewer) == alone
            for task in open_still:
                task.cancel()
            await asyncio.gather(*closed, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    assert await refusals(worker) > 0
                    break
                except httpx.TransportError:  # those that left are not gone yet
                    await asyncio.sleep(0.05)
        assert await streamed(worker.url, **STREAM) == alone
        worker.signal()
        assert await worker.exit_code() == 0
    assert len(worker.log) < LINES and "Traceback" not in "".join(worker.log)
    assert sum("turned away" in line for line in worker.log) == 1


async def test_where_no_descriptor_is_left_at_all_it_waits_in_silence_and_comes_back() -> None:
    async with command() as worker:
        alone = await streamed(worker.url, **STREAM)
        pid = worker.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        async with connected(worker.url) as viewer:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
            async with flood(worker.url, 100):
                assert await served_on(viewer) == alone
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            async with asyncio.timeout(PATIENCE):
                assert await streamed(worker.url, **STREAM) == alone
        worker.signal()
        assert await worker.exit_code() == 0
    assert len(worker.log) < LINES and "Traceback" not in "".join(worker.log)
    assert sum("turned away" in line for line in worker.log) == 1


async def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes() -> None:
    async with command(program=FEW_DESCRIPTORS) as worker:
        soft, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard == 256
    assert any("fewer than max_connections" in line for line in worker.log)
