"""Workers behind HAProxy with the configuration that is shipped: nobody notices which one serves."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from support.cluster.behind_haproxy import (
    KEY,
    NAMES,
    SECRET,
    SHIPPED,
    Cluster,
    allowed,
    check_passes,
    cluster,
)
from support.viewers.raw_viewer import SMALL, Closed, RawViewer, opened

from framewire.client import Reconnect, connect
from framewire.worker.config import Config

FPS, ENDLESS = 20, 10**6
AHEAD = 10
"""Blocks that streams have to go once all has befallen them: more than a worker is ahead of who reads."""
GAP, DRAIN = 3.0, 5.0
"""Seconds that a viewer may see nothing, and a worker that is sent away may take."""
ALIAS = "krea-wan-14b"
PATIENT = Reconnect(attempts=1000, first_delay=0.1, max_delay=0.3, give_up_after=100)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def mint(url: str) -> str:
    asked = {"allowed_apps": [ALIAS], "token_expiration": 300}
    answer = httpx.post(
        f"{url}/tokens/",
        json=asked,
        headers={"authorization": f"Key {KEY}"},
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json())


@asynccontextmanager
async def viewer_of(url: str) -> AsyncIterator[RawViewer]:
    """A viewer of no client of ours, with a token."""
    async with opened(f"{url}?fal_jwt_token={mint(url.replace('ws', 'http', 1)[:-3])}") as viewer:
        yield viewer


async def sessions(shared: Cluster) -> dict[str, int]:
    """How many streams each worker has."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return {
            name: int((await http.get(f"{shared.of(name)}/health")).json()["sessions"])
            for name in NAMES
            if shared.workers[name].poll() is None
        }


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do; there is nothing else to be told by."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_streams_outlive_a_killed_and_a_drained_worker(shared: Cluster) -> None:
    """Every stream has exactly its frames and no long gap; the drained worker exits 0 in time,
    long before its grace runs out."""
    counts, gaps, blocks = [0] * 4, [0.0] * 4, [0] * 4
    over = asyncio.Event()
    await asyncio.to_thread(shared.until_all_have_room)

    async def watch(place: int) -> None:
        async with connect(shared.url, secret=SECRET, reconnect=PATIENT) as session:
            await session.start("a fox", num_blocks=ENDLESS, fps=FPS, **SMALL)
            last = None
            async for frame in session:
                assert frame.index == counts[place]
                now = time.monotonic()
                gaps[place] = max(gaps[place], now - (now if last is None else last))
                counts[place], last = counts[place] + 1, now
                if over.is_set() and not blocks[place]:
                    blocks[place] = frame.index // 12 + AHEAD
                    await session.steer(num_blocks=blocks[place])

    async def misfortune() -> None:
        await until(lambda: min(counts) > 6)
        first, second = await busiest(shared), None
        shared.end(first, signal.SIGKILL)
        await asyncio.to_thread(shared.workers[first].wait)
        shared.launch(first)
        await asyncio.to_thread(shared.listens, first)
        second = await busiest(shared, but=first)
        shared.end(second, signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.to_thread(shared.workers[second].wait, 60) == 0
        assert time.monotonic() - began < allowed(DRAIN)
        shared.launch(second)
        await asyncio.to_thread(shared.listens, second)
        marks = [*counts]
        await until(lambda: all(now > 12 + mark for now, mark in zip(counts, marks, strict=True)))
        over.set()

    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        for place in range(4):
            group.create_task(watch(place))
        group.create_task(misfortune())
    assert counts == [12 * each - 6 for each in blocks]
    assert max(gaps) < allowed(GAP)


async def busiest(shared: Cluster, but: str = "") -> str:
    """The name of the worker with most streams, which has one at least."""
    found = await sessions(shared)
    name = max((name for name in found if name != but), key=lambda name: found[name])
    assert found[name] > 0
    return name


async def test_any_viewer_of_a_drained_worker_is_closed_with_1012_at_a_blocks_end(
    shared: Cluster,
) -> None:
    """Through the balancer, and without a client of ours: whole blocks, then words, then the code."""
    await asyncio.to_thread(shared.until_all_have_room)
    async with viewer_of(shared.url) as viewer:
        await viewer.until(lambda said: said == {"status": "ready"})
        await viewer.say(prompt="a fox", num_blocks=1000, fps=24, **SMALL)
        before = await viewer.frame(7)
        name = await busiest(shared)
        shared.end(name, signal.SIGTERM)
        rest = await viewer.end()
        frames = sum(isinstance(one, bytes) for one in (*before.messages, *rest.messages))
        assert (frames - 6) % 12 == 0
        said, closed = rest.texts[-1], rest.last
        assert (said["error"], said["retry_after"]) == ("AT_CAPACITY", 1)
        assert isinstance(closed, Closed) and closed.code == 1012
    assert await asyncio.to_thread(shared.workers[name].wait, 60) == 0
    shared.launch(name)
    await asyncio.to_thread(shared.listens, name)


async def test_nine_viewers_on_six_places(shared: Cluster) -> None:
    """Six stream at once, two a worker; three are told in words that there is no place, and when
    to come back, though the balancer knows by then that all are full."""
    await asyncio.to_thread(shared.until_all_have_room)
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(viewer_of(shared.url)) for _ in range(9)]
        for viewer in viewers:
            await viewer.until(lambda said: said == {"status": "ready"})
            await viewer.say(prompt="a fox", num_blocks=1000, fps=8, **SMALL)
        firsts = [await viewer.next() for viewer in viewers]
        refused = [first for first in firsts if not isinstance(first, bytes)]
        assert len(refused) == 3
        assert {(said["error"], said["retry_after"]) for said in refused} == {("AT_CAPACITY", 5)}
        assert await sessions(shared) == dict.fromkeys(NAMES, 2)
        async with viewer_of(shared.url) as tenth:
            await tenth.until(lambda said: said == {"status": "ready"})
            await tenth.say(prompt="a fox", **SMALL)
            assert (await tenth.next())["error"] == "AT_CAPACITY"
            assert (await tenth.next()).code == 1013


async def test_the_wires_rules_are_kept_through_the_balancer(shared: Cluster) -> None:
    """`framewire check`: compression, closes, errors and all."""
    await asyncio.to_thread(shared.until_all_have_room)
    await check_passes(shared.url)


async def test_a_token_of_one_worker_opens_the_others_and_stays_out_of_the_log(
    shared: Cluster,
) -> None:
    token = mint(shared.of("w1"))
    for url in (shared.of("w2"), shared.of("w3"), shared.http):
        address = url.replace("http", "ws", 1)
        async with opened(f"{address}/ws?fal_jwt_token={token}") as viewer:
            assert (await viewer.next())["status"] == "ready"
    await until(lambda: " /ws workers_" in shared.log)
    assert token not in shared.log and "fal_jwt_token" not in shared.log


async def test_requests_of_the_queue_are_answered_by_whoever_took_them(shared: Cluster) -> None:
    """Submit, status, result and the clip itself, all through the balancer; so for an upload."""
    key = {"authorization": f"Key {KEY}"}
    await asyncio.to_thread(shared.until_all_have_room)
    asked = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64}
    async with httpx.AsyncClient(trust_env=False, headers=key, timeout=60) as http:
        made: dict[str, str] = {}
        for _ in range(12):
            answer = await http.post(f"{shared.http}/queue/me/{ALIAS}/text-to-video", json=asked)
            assert answer.status_code == 200, answer.text
            id = str(answer.json()["request_id"])
            made[id.partition("-")[0]] = str(answer.json()["response_url"])
            if len(made) == len(NAMES):
                break
        assert set(made) == set(NAMES)
        for url in made.values():
            assert url.startswith(shared.http)
            async with asyncio.timeout(60):
                while (result := await http.get(url)).status_code == 400:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert result.status_code == 200, result.text
            clip = await http.get(result.json()["video"]["url"])
            assert clip.status_code == 200 and b"ftyp" in clip.content[:12]
        body = {"content_type": "image/png", "file_name": "a.png"}
        begun = (await http.post(f"{shared.http}/storage/upload/initiate", json=body)).json()
        assert (await http.put(begun["upload_url"], content=b"any")).status_code == 200
        for _ in NAMES:
            assert (await http.get(begun["file_url"])).content == b"any"


async def test_what_the_balancer_costs_a_frame_is_measured_beside_the_direct_way(
    shared: Cluster,
) -> None:
    """By `framewire-worker bench front`: each way's frames, and the CPU time of its processes."""
    await asyncio.to_thread(shared.until_all_have_room)
    token = mint(shared.http)
    direct = shared.of("w1").replace("http", "ws", 1)
    ways = [
        f"direct={direct}/ws?fal_jwt_token={token}@{shared.workers['w1'].pid}",
        f"haproxy={shared.url}?fal_jwt_token={token}@{shared.balancer_pid}",
    ]
    few = ("--sessions", "2", "--frames", "60", "--fps", "0", "--size", "128x64", "--json")
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.worker.cli", "bench", "front", *ways, *few),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    said, progress = await asyncio.wait_for(bench.communicate(), 100)
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["name"] for row in rows] == ["direct", "haproxy"], progress.decode()
    assert all(row["frames"] >= 3 * 60 and row["kilobytes"] > 0 for row in rows)
    assert rows[0]["cpu_ms"] > 0
    assert token not in progress.decode()


async def test_a_callers_address_is_the_balancers_word_and_metrics_stay_inside(
    shared: Cluster,
) -> None:
    """What a caller says of itself is not passed on: else nobody could be bounded."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for path in ("/metrics", "/%6detrics", "/metric%73?a=b"):
            assert (await http.get(f"{shared.http}{path}")).status_code == 403, path
        wrong = {"authorization": "Key wrong"}
        answers = [
            await http.post(
                f"{shared.http}/tokens/",
                json={"allowed_apps": [ALIAS]},
                headers=wrong | {"x-forwarded-for": f"203.0.113.{place}"},
            )
            for place in range(3 * 30 + 3)
        ]
    assert {answer.status_code for answer in answers} == {401, 429}


def test_the_configuration_names_whole_paths_only_and_fits_the_workers_own_times() -> None:
    lines = [line.split("#")[0].split() for line in SHIPPED.read_text().splitlines()]
    settings = {tuple(line[:2]): line[2] for line in lines if len(line) > 2}
    assert settings["timeout", "tunnel"] == "65m" and Config().session_timeout < 65 * 60
    assert {line[1] for line in lines if line[:1] == ["bind"]} == {"*:8000"}
    assert {line[2] for line in lines if line[:1] == ["server"]} == {
        f"127.0.0.1:{port}" for port in (8001, 8002, 8003)
    }
    assert not [word for line in lines for word in line if word.startswith("./") or "../" in word]
    (checks,) = (line for line in lines if line[:1] == ["default-server"])
    assert int(checks[checks.index("inter") + 1].removesuffix("ms")) <= 1000
