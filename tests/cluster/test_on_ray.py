"""Replicas on a Ray cluster: who is cut finishes elsewhere, and who is not doesn't notice."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from support.cluster.behind_haproxy import (
    KEY,
    SECRET,
    allowed,
    check_passes,
    started_haproxy,
)
from support.cluster.on_ray import TESTCARD, RayCluster, clean_environment, ray_cluster, until
from support.required import absent
from support.servers.ports import free_port
from support.viewers.raw_viewer import SMALL, Closed, RawViewer, opened

from framewire.client import ConnectionLost, Reconnect, Reconnecting, connect

pytestmark = [
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # starting a cluster takes its time beside other tests
]

FPS, ENDLESS = 20, 10**6
AHEAD = 10
"""Blocks that streams have to go once all has befallen them: more than a worker is ahead of who reads."""
GAP = 3.0
SHIPPED = Path(__file__).parents[2] / "examples/cluster/ray"
PATIENT = Reconnect(attempts=1000, first_delay=0.1, max_delay=0.3, give_up_after=200)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RayCluster]:
    if importlib.util.find_spec("ray") is None:
        absent("ray", "Ray is not installed")
    async with ray_cluster(tmp_path_factory.mktemp("ray") / "log") as cluster:
        yield cluster


@asynccontextmanager
async def viewer_of(shared: RayCluster) -> AsyncIterator[RawViewer]:
    """A viewer of no client of ours, with a token."""
    asked = {"allowed_apps": ["krea-wan-14b"], "token_expiration": 300}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.post(
            f"{shared.http}/tokens/", json=asked, headers={"authorization": f"Key {KEY}"}
        )
    assert answer.status_code == 200, answer.text
    async with opened(f"{shared.url}?fal_jwt_token={answer.json()}") as viewer:
        await viewer.until(lambda said: said == {"status": "ready"})
        yield viewer


async def streams_through(
    shared: RayCluster, count: int, misfortune: Callable[[], Awaitable[None]]
) -> list[int]:
    """`count` streams, of which all get exactly their frames and none stands still for long,
    whatever befalls them once all have begun; how often each was cut."""
    counts, gaps, cuts, blocks = [0] * count, [0.0] * count, [0] * count, [0] * count
    over = asyncio.Event()
    begun, first = asyncio.Event(), [asyncio.Event() for _ in range(count)]

    def patient(place: int) -> Reconnect:
        def cut(event: Reconnecting) -> None:
            cuts[place] += event.attempt == 1

        return replace(PATIENT, on_reconnecting=cut)

    async def watch(place: int) -> None:
        if place:  # one after the other, as viewers come
            await first[place - 1].wait()
        async with connect(shared.url, secret=SECRET, reconnect=patient(place)) as session:
            await session.start("a fox", num_blocks=ENDLESS, fps=FPS, **SMALL)
            last = None
            async for frame in session:
                assert frame.index == counts[place]
                now = time.monotonic()
                gaps[place] = max(gaps[place], now - (now if last is None else last))
                counts[place], last = counts[place] + 1, now
                first[place].set()
                if min(counts) > 6:
                    begun.set()
                if over.is_set() and not blocks[place]:
                    blocks[place] = frame.index // 12 + AHEAD
                    await session.steer(num_blocks=blocks[place])

    async def befall() -> None:
        await begun.wait()
        await misfortune()
        marks = [*counts]

        async def all_go_on() -> bool:
            return all(now > 24 + mark for now, mark in zip(counts, marks, strict=True))

        await until(all_go_on)
        over.set()

    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        for place in range(count):
            group.create_task(watch(place))
        group.create_task(befall())
    assert counts == [12 * each - 6 for each in blocks]
    assert max(gaps) < allowed(GAP)
    return cuts


async def test_one_of_two_replicas_is_killed(shared: RayCluster) -> None:
    """Its streams finish on the other with exact frames; those of the other don't notice."""
    await shared.run(2, 2, FRAMEWIRE_MAX_SESSIONS="6")
    running = await shared.replicas(2)

    async def kill() -> None:
        os.kill(running[0].pid, signal.SIGKILL)

    assert sorted(await streams_through(shared, 6, kill)) == [0, 0, 0, 1, 1, 1]
    await shared.replicas(2)


async def test_a_redeployment_closes_in_words_and_every_stream_goes_on(shared: RayCluster) -> None:
    """1012 at a block's end, within two blocks, for any viewer; ours gets exact frames."""
    await shared.run(2, 2, FRAMEWIRE_MAX_SESSIONS="6")
    async with viewer_of(shared) as viewer:
        await viewer.say(prompt="a fox", num_blocks=1000, fps=24, **SMALL)
        before = await viewer.frame(7)
        ending = asyncio.create_task(viewer.end())  # it reads all the while, as viewers do

        async def redeploy() -> None:
            await shared.run(2, 2, FRAMEWIRE_MAX_SESSIONS="6", FRAMEWIRE_JPEG_QUALITY="85")

        await streams_through(shared, 3, redeploy)
        rest = await ending
    assert isinstance(rest.last, Closed) and rest.last.code == 1012
    assert (len(before.frames) + len(rest.frames) - 6) % 12 == 0, "whole blocks"
    said = rest.texts[-1]
    assert (said["error"], said["retry_after"]) == ("AT_CAPACITY", 1)
    await shared.replicas(2)


async def test_scaling_down_closes_in_words_and_every_stream_goes_on(shared: RayCluster) -> None:
    """Of any viewer's: whole blocks, then the words, then 1012; the others' streams go on."""
    await shared.run(2, 2, FRAMEWIRE_MAX_SESSIONS="6", FRAMEWIRE_JPEG_QUALITY="85")
    await shared.replicas(2)
    async with AsyncExitStack() as stack:
        ends = []
        for _ in range(4):
            viewer = await stack.enter_async_context(viewer_of(shared))
            await viewer.say(prompt="a fox", num_blocks=100_000, fps=24, **SMALL)
            ends.append(asyncio.create_task(viewer.end()))

        async def scale_down() -> None:
            await shared.run(1, 1, FRAMEWIRE_MAX_SESSIONS="6", FRAMEWIRE_JPEG_QUALITY="85")
            await shared.replicas(1)

        assert sum(await streams_through(shared, 2, scale_down)) == 1
        ended = [end.result() for end in ends if end.done()]
        assert len(ended) == 2
        for end in ended:
            assert (len(end.frames) - 6) % 12 == 0
            assert end.texts[-1]["error"] == "AT_CAPACITY"
            assert isinstance(end.last, Closed) and end.last.code == 1012
        for going_on in ends:
            going_on.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def test_whoever_finds_no_place_is_told_so_in_words(shared: RayCluster) -> None:
    """Never an HTTP error, nor a handshake that hangs: also for many at once."""
    await shared.run(1, 1, FRAMEWIRE_MAX_SESSIONS="2")
    await shared.replicas(1)
    async with AsyncExitStack() as stack:
        viewers = await asyncio.gather(
            *(stack.enter_async_context(viewer_of(shared)) for _ in range(4))
        )
        for viewer in viewers:
            await viewer.say(prompt="a fox", num_blocks=1000, fps=8, **SMALL)
        firsts = [await viewer.next() for viewer in viewers]
        refused = [first for first in firsts if not isinstance(first, bytes)]
        assert {(said["error"], said["retry_after"]) for said in refused} == {("AT_CAPACITY", 5)}
        assert len(refused) == 2

        async def late() -> object:
            async with viewer_of(shared) as viewer:
                await viewer.say(prompt="a fox", **SMALL)
                said = await viewer.next()
                assert (await viewer.next()).code == 1013
                return said["error"]

        assert await asyncio.gather(*(late() for _ in range(12))) == ["AT_CAPACITY"] * 12


async def test_viewers_who_vanish_free_their_places_within_five_seconds(shared: RayCluster) -> None:
    await shared.run(1, 1, FRAMEWIRE_MAX_SESSIONS="2")
    await shared.replicas(1)
    await until(lambda: is_idle(shared))  # the replica is that of the test before
    for _ in range(2):
        async with AsyncExitStack() as stack:
            for _ in range(2):
                viewer = await stack.enter_async_context(viewer_of(shared))
                await viewer.say(prompt="a fox", num_blocks=100_000, **SMALL)
                await viewer.frame(1)
                viewer.socket.transport.abort()
        await until(lambda: is_idle(shared), seconds=allowed(5))


async def is_idle(shared: RayCluster) -> bool:
    return await shared.sessions() == 0


async def test_a_replica_is_added_when_places_run_short(shared: RayCluster) -> None:
    """And whoever waited for a place finds one there."""
    await shared.run(1, 2, FRAMEWIRE_MAX_SESSIONS="2")
    await shared.replicas(1)
    await until(lambda: is_idle(shared))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            viewer = await stack.enter_async_context(viewer_of(shared))
            await viewer.say(prompt="a fox", num_blocks=100_000, fps=8, **SMALL)
            await viewer.frame(1)
        async with connect(shared.url, secret=SECRET, reconnect=PATIENT) as session:
            await session.start("a fox", num_blocks=2, **SMALL)
            assert [frame.index async for frame in session] == list(range(18))
        await shared.replicas(2)


async def test_the_wires_rules_are_kept_behind_haproxy(shared: RayCluster, tmp_path: Path) -> None:
    """`framewire check` through the front that is documented: Ray's own proxy agrees to deflate."""
    await shared.run(1, 1, FRAMEWIRE_MAX_SESSIONS="6", FRAMEWIRE_QUEUE="2")
    await shared.replicas(1)
    async with in_front_of(shared, tmp_path) as url:
        await check_passes(url)


async def test_serve_run_says_a_mistake_in_a_line(tmp_path: Path) -> None:
    """Before it starts a cluster, and without a traceback."""
    if importlib.util.find_spec("ray") is None:
        absent("ray", "Ray is not installed")
    serve = str(Path(sys.executable).with_name("serve"))
    process = await asyncio.create_subprocess_exec(
        *(serve, "run", "framewire.worker.on_ray.app:app"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment() | {"FRAMEWIRE_BACKEND": "krea", "RAY_TMPDIR": str(tmp_path)},
    )
    said = (await asyncio.wait_for(process.communicate(), 100))[0].decode()
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("framewire.worker.on_ray: no backend 'krea': choose")
    assert "Traceback" not in said


async def test_serve_run_takes_the_shipped_file_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    """With settings from the environment, which reach the replicas and no terminal."""
    port = free_port()
    shipped = (SHIPPED / "serve.yaml").read_text()
    assert "port: 8001" in shipped
    (tmp_path / "serve.yaml").write_text(
        shipped.replace("port: 8001", f"port: {port}").replace(": auto", ": testcard")
    )
    # Tests in the background of a script inherit that Ctrl-C is ignored.
    serve = ("env", "--default-signal=INT", str(Path(sys.executable).with_name("serve")))
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        process = await asyncio.create_subprocess_exec(
            *(*serve, "run", str(tmp_path / "serve.yaml")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment() | TESTCARD | {"RAY_TMPDIR": folder},
        )
        assert process.stdout is not None
        reading = asyncio.create_task(process.stdout.read())
        try:
            await until(lambda: answers(port))
            async with connect(
                f"ws://127.0.0.1:{port}/ws", secret=SECRET, reconnect=False
            ) as session:
                await session.start("a fox", num_blocks=100_000, fps=24, **SMALL)
                await anext(aiter(session))
                process.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionLost):
                    async for _ in session:
                        pass
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
        said = (await reading).decode()
    assert SECRET not in said and KEY not in said


@asynccontextmanager
async def in_front_of(shared: RayCluster, folder: Path) -> AsyncIterator[str]:
    """The shipped HAProxy in front of Ray's proxy, by its address."""
    port = free_port()
    ports = {"*:8000": port, "127.0.0.1:8001": shared.port}
    with (folder / "haproxy.log").open("w") as log:
        haproxy = started_haproxy(SHIPPED / "haproxy.cfg", ports, folder, log)
        try:
            await until(lambda: answers(port))
            yield f"ws://127.0.0.1:{port}/ws"
        finally:
            haproxy.kill()
            haproxy.wait()


async def answers(port: int) -> bool:
    """Whether a worker serves there."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/health")).status_code == 200
        except httpx.HTTPError:
            return False
