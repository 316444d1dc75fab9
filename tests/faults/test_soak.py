"""The soak: viewers that come and go, hostile ones between them, and workers killed every minute.

Eight viewers of the test card and one of the `tiny` model, each on a worker that is killed and
started again on its port. Who stays gets every frame, to the byte; nothing grows: not the worker
between two deaths, not the client that outlives them.

`FRAMEWIRE_SOAK_SECONDS` is its length, 900 unless set; 60 will do for a try.
"""

import asyncio
import contextlib
import gc
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.servers.mortal_worker import Held, MortalWorker, assert_flat, held
from support.servers.watched_worker import Usage, Watched, watched
from support.servers.worker_server import Command, command
from support.viewers.bad_peers import BAD_PEERS, GONE, TINY
from support.viewers.hostile_upgrades import UPGRADES, answer
from support.viewers.raw_viewer import streamed
from support.viewers.stayer import soak_seconds, stay

SECONDS = soak_seconds(900)
LIFE = min(60.0, SECONDS / 3)
VIEWERS, HOSTILE = 8, 3
BLOCKS = 40
FPS = 30
SEED = 20261125
WIRES: list[dict[str, Any]] = [{}, {"fmt": "msgpack"}, {"events": True}]


@dataclass
class Soak:
    """What is shared by all who take part."""

    until: float
    did: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def goes_on(self) -> bool:
        return asyncio.get_running_loop().time() < self.until


@asynccontextmanager
async def card(port: int) -> AsyncIterator[Command]:
    async with watched("--port", str(port), "--max-sessions", "32") as worker:
        yield worker.worker


@asynccontextmanager
async def tiny(port: int) -> AsyncIterator[Command]:
    """The `tiny` model's worker; on one thread, so that a busy machine does not choose how many."""
    options = ("--backend", "tiny", "--warm-sizes", "64x64", "--port", str(port))
    async with command(*options, OMP_NUM_THREADS="1") as worker:
        yield worker


def _frames(blocks: int, solo: list[bytes]) -> int:
    """How many frames a stream of so many blocks has, where `solo` has `BLOCKS`: as many in each
    block but the first."""
    return len(solo) - (BLOCKS - blocks) * 12


async def view(worker: MortalWorker, number: int, solo: list[bytes], soak: Soak) -> None:
    """Comes and goes: streams of any length, one in four of them left before its end."""
    dice = random.Random(SEED + number)
    while soak.goes_on():
        blocks = dice.randint(2, BLOCKS)
        leaves_at = dice.randrange(1, 12 * blocks - 6) if dice.random() < 0.25 else -1
        params = good(number) | {"num_blocks": blocks, "fps": FPS} | dice.choice(WIRES)
        await worker.up.wait()
        await stay(worker.url, params, solo, _frames(blocks, solo), soak.did, leaves_at)


async def view_tiny(worker: MortalWorker, solo: list[bytes], soak: Soak) -> None:
    params = good(VIEWERS) | {"num_blocks": BLOCKS, "fps": 16}
    while soak.goes_on():
        await worker.up.wait()
        await stay(worker.url, params, solo, len(solo), soak.did)
        soak.did["of tiny"] += 1


async def misbehave(worker: MortalWorker, number: int, soak: Soak) -> None:
    dice = random.Random(SEED + number)
    while soak.goes_on():
        await worker.up.wait()
        with contextlib.suppress(*GONE):
            if dice.random() < 0.3:
                await answer(worker.url, dice.choice(list(UPGRADES.values())))
            else:
                await dice.choice(BAD_PEERS)(worker.url, dice)
        soak.did["hostile"] += 1


async def look_at_itself(soak: Soak, looks: list[Held]) -> None:
    """What this process, the client of all, holds."""
    while soak.goes_on():
        gc.collect()
        looks.append(held())
        await asyncio.sleep(0.5)


def good(number: int) -> dict[str, Any]:
    return {"prompt": f"good {number}", "seed": number} | TINY


async def solos(url: str, numbers: range) -> list[list[bytes]]:
    return [await streamed(url, num_blocks=BLOCKS, **good(number)) for number in numbers]


async def alone() -> tuple[list[list[bytes]], Usage]:
    """The streams of the test card undisturbed, and what its worker holds when all have left."""
    async with watched("--max-sessions", "32") as worker:
        start = await worker.idle()
        found = await solos(worker.url, range(VIEWERS))
        dice = random.Random(SEED)
        peers = (peer(worker.url, dice) for peer in BAD_PEERS)
        for error in await asyncio.gather(*peers, return_exceptions=True):
            assert error is None or isinstance(error, GONE)
        return found, await worker.back_at(replace(start, rss=10**12), 30)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
async def test_who_stays_gets_every_frame_and_nothing_grows_while_workers_die() -> None:
    cards, rest = await alone()
    async with tiny(0) as model:
        (painted,) = await solos(model.url, range(VIEWERS, VIEWERS + 1))
    looks: list[Held] = []
    mortal = MortalWorker(card, lambda worker: Watched(worker).back_at(rest, 30))
    model_worker = MortalWorker(tiny, lambda worker: asyncio.sleep(0))
    soak = Soak(asyncio.get_running_loop().time() + SECONDS)
    async with asyncio.TaskGroup() as workers:
        workers.create_task(mortal.live(LIFE, soak.over))
        workers.create_task(model_worker.live(LIFE, soak.over))
        async with asyncio.TaskGroup() as callers:
            for number, solo in enumerate(cards):
                callers.create_task(view(mortal, number, solo, soak))
            callers.create_task(view_tiny(model_worker, painted, soak))
            for number in range(HOSTILE):
                callers.create_task(misbehave(mortal, number, soak))
            callers.create_task(look_at_itself(soak, looks))
        soak.over.set()
    print(dict(soak.did))
    for name, lives in (("testcard", mortal.lives), ("tiny", model_worker.lives)):
        for early, late in lives:
            print(f"{name}: {early} -> {late}")
    print("client: {} -> {}".format(*assert_flat(looks)))
    assert soak.did["reconnects"] >= VIEWERS and soak.did["hostile"] >= 10
    assert soak.did["of tiny"] >= 1
