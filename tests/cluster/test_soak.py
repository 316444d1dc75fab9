"""The soak of a cluster: two hundred viewers come and go behind the shipped haproxy.cfg, and every
half minute one of the three workers is killed, and started again.

`FRAMEWIRE_SOAK_SECONDS` is its length, 300 unless set; 60 will do for a try.
"""

import asyncio
import gc
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.cluster.behind_haproxy import NAMES, SECRET, Cluster, cluster
from support.servers.mortal_worker import RSS_SLACK, SLACK, Held, assert_flat, held
from support.viewers.stayer import soak_seconds, stay

from framewire.client import connect

SECONDS = soak_seconds(300)
LIFE = min(30.0, SECONDS / 4)
"""Seconds between two deaths; each worker dies with every third."""
VIEWERS, PLACES = 200, 110
"""Two workers have to hold all while the third is dead."""
BLOCKS, FPS = 8, 6
PROMPTS = 8
SEED = 20261126
OPTIONS = ("--max-sessions", str(PLACES), "--caller-sockets", "0", "--caller-handshakes", "0")
"""All viewers have one address here."""
WIRES: list[dict[str, Any]] = [{}, {"fmt": "msgpack"}, {"events": True}]


def good(number: int) -> dict[str, Any]:
    return {"prompt": f"good {number}", "seed": number, "width": 64, "height": 64}


async def view(
    number: int, url: str, solo: list[bytes], did: Counter[str], over: Callable[[], bool]
) -> None:
    """Comes and goes: streams of any length, one in four of them left before its end."""
    dice = random.Random(SEED + number)
    while not over():
        await asyncio.sleep(dice.uniform(0, 2))
        blocks = dice.randint(2, BLOCKS)
        frames = 12 * blocks - 6
        leaves_at = dice.randrange(1, frames) if dice.random() < 0.25 else -1
        params = good(number % PROMPTS) | {"num_blocks": blocks, "fps": FPS} | dice.choice(WIRES)
        await stay(url, params, solo, frames, did, leaves_at, secret=SECRET)


async def looked_at(shared: Cluster, name: str, http: httpx.AsyncClient) -> Held | None:
    """What a worker holds besides its viewers' sockets, whose number changes; None as it dies or
    starts."""
    try:
        health = (await http.get(f"{shared.of(name)}/health")).json()
        seen = held(shared.workers[name].pid)
    except (httpx.TransportError, OSError, KeyError):  # it is dead, or has just died
        return None
    return replace(seen, fds=seen.fds - health["connections"])


async def look(
    shared: Cluster, name: str, lives: list[list[Held]], over: Callable[[], bool]
) -> None:
    """Twice a second at one worker; a life begins with each of its processes."""
    pid = 0
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        while not over():
            await asyncio.sleep(0.5)
            worker = shared.workers[name]
            if (seen := await looked_at(shared, name, http)) is None or worker.poll() is not None:
                continue
            if pid != worker.pid:
                pid = worker.pid
                lives.append([])
            lives[-1].append(seen)


async def look_at_itself(looks: list[Held], over: Callable[[], bool]) -> None:
    """What this process, the client of all, holds besides the viewers' sockets."""
    while not over():
        gc.collect()
        looks.append(replace(held(), fds=0))
        await asyncio.sleep(0.5)


async def kill_in_turn(shared: Cluster, did: Counter[str], until: float) -> None:
    now = asyncio.get_running_loop().time
    due = now()
    while (due := due + LIFE) < until:
        await asyncio.sleep(due - now())
        name = NAMES[did["kills"] % len(NAMES)]
        shared.end(name, signal.SIGKILL)
        await asyncio.to_thread(shared.workers[name].wait)
        shared.launch(name)
        await asyncio.to_thread(shared.listens, name)
        did["kills"] += 1


async def whole(url: str, number: int) -> list[bytes]:
    """A stream that nobody disturbs."""
    async with connect(url, secret=SECRET) as session:
        await session.start(**good(number), num_blocks=BLOCKS)
        return [frame.jpeg async for frame in session]


async def at_rest(shared: Cluster, name: str) -> Held:
    """What a worker holds when all its viewers have left."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http, asyncio.timeout(60):
        while (await http.get(f"{shared.of(name)}/health")).json()["connections"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        seen = await looked_at(shared, name, http)
        assert seen is not None
        return seen


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
async def test_who_stays_gets_every_frame_from_workers_that_die_in_turn(tmp_path: Path) -> None:
    """And nothing grows: no worker between two deaths, and not the client that outlives them."""
    did: Counter[str] = Counter()
    lives: dict[str, list[list[Held]]] = {name: [] for name in NAMES}
    looks: list[Held] = []
    with cluster(tmp_path, *OPTIONS) as shared:
        solos = [await whole(shared.url, number) for number in range(PROMPTS)]
        before, own = await at_rest(shared, NAMES[0]), held()
        now = asyncio.get_running_loop().time
        until = now() + SECONDS

        def over() -> bool:
            return now() >= until

        async with asyncio.TaskGroup() as group:
            group.create_task(kill_in_turn(shared, did, until))
            for name in NAMES:
                group.create_task(look(shared, name, lives[name], over))
            group.create_task(look_at_itself(looks, over))
            for number in range(VIEWERS):
                solo = solos[number % PROMPTS]
                group.create_task(view(number, shared.url, solo, did, over))
        after = {name: await at_rest(shared, name) for name in NAMES}
        own_after = held()
    print(dict(did))
    for name in NAMES:
        for life in lives[name]:
            if len(life) >= 20:
                print(f"{name}: {' -> '.join(map(str, assert_flat(life)))}")
        print(f"{name} at rest: {after[name]}, before all: {before}")
        assert after[name].rss <= before.rss + RSS_SLACK
        assert after[name].fds <= before.fds + SLACK
    print(f"client: {' -> '.join(map(str, assert_flat(looks)))}; at rest {own} -> {own_after}")
    assert own_after.fds <= own.fds + SLACK
    assert did["kills"] >= int(SECONDS / LIFE) - 2 and did["reconnects"] >= 10 * did["kills"]
    assert did["streams"] >= VIEWERS
