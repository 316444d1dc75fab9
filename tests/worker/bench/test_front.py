"""What a front costs, measured against a worker that has not always room."""

import asyncio
from functools import partial

import pytest
from support.servers.worker_server import Running, serving
from support.viewers.raw_viewer import connected
from websockets.asyncio.server import ServerConnection, serve

from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.bench.front import measure as module
from framewire.worker.bench.front.measure import FrontError, Way, measure
from framewire.worker.cli import main

ENDLESS = {"prompt": "a", "num_blocks": 10_000, "width": 64, "height": 64}


def measuring(worker: Running, said: list[str]) -> "asyncio.Future[list[dict[str, object]]]":
    ways = [Way("direct", worker.url)]
    call = partial(measure, ways, sessions=1, frames=20, fps=0, size=(64, 64), tell=said.append)
    return asyncio.ensure_future(asyncio.to_thread(call))


async def refused(worker: Running) -> None:
    """Wait until somebody was sent away for want of a place."""
    counted = worker.inside.metrics.errors.labels("AT_CAPACITY")
    async with asyncio.timeout(60):
        while not counted._value.get():  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)


async def test_a_place_that_is_not_free_yet_is_waited_for() -> None:
    """As that of the round before, which is given back when its last block is made."""
    async with serving(TestcardBackend(), max_sessions=1, queue_timeout=0.01) as worker:
        async with connected(worker.url) as viewer:
            await viewer.say(**ENDLESS)
            await viewer.frame()
            rows = measuring(worker, [])
            await refused(worker)
        (row,) = await rows
        assert row["name"] == "direct" and row["frames"] >= 60


async def test_where_no_place_gets_free_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    async with (
        serving(TestcardBackend(), max_sessions=1, queue_timeout=0.01) as worker,
        connected(worker.url) as viewer,
    ):
        await viewer.say(**ENDLESS)
        await viewer.frame()
        with pytest.raises(FrontError, match=r"direct at ws://.*AT_CAPACITY"):
            await measuring(worker, [])


async def test_what_a_worker_answers_reaches_no_terminal_raw(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the token in its address not at all."""

    async def refuse(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"type": "x-fal-error", "error": "\x1b[2J\x1b[31mINTERNAL_ERROR"}')

    async with serve(refuse, "127.0.0.1", 0) as server:
        ((host, port),) = (socket.getsockname() for socket in server.sockets)
        way = f"direct=ws://{host}:{port}/ws?fal_jwt_token=t0ken"
        assert await asyncio.to_thread(main, ["bench", "front", way, "--sessions", "1"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "INTERNAL_ERROR" in said.err
    assert "\x1b" not in said.err and "t0ken" not in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a=ws://[bad/ws"], "no address"),
        (["a=ws://127.0.0.1:99999/ws"], "no address"),
        (["a=ws:///ws"], "no address"),
        (["a=ws://127.0.0.1:1/ws@x"], "numbers of processes"),
        (["a=ws://127.0.0.1:1/ws", "a=ws://127.0.0.1:2/ws"], "two ways have one name"),
        (["a=ws://127.0.0.1:1/ws", "--fps", "nan"], "fps: Input should be a finite number"),
        (["a=ws://127.0.0.1:1/ws", "--size", "4096x64"], "expected 64 to 2048 pixels a side"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["bench", "front", *words])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
