"""A signal drains first and then does what it did before; a second one does that at once."""

import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from framewire.worker.on_fal.drain_on_signal import DrainOnSignal

PATIENCE = 60.0


class Before:
    """What the process did on SIGTERM so far."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.called.set()


@pytest.fixture
def handlers() -> Iterator[None]:
    saved = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in saved.items():
        signal.signal(number, handler)


async def test_what_was_before_waits_for_the_drain(handlers: None) -> None:
    before = Before()
    signal.signal(signal.SIGTERM, before)
    draining, may_end = asyncio.Event(), asyncio.Event()

    async def drain() -> None:
        draining.set()
        await may_end.wait()

    DrainOnSignal(drain).install()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await draining.wait()
        assert not before.called.is_set()
        may_end.set()
        await before.called.wait()


async def test_a_second_signal_does_not_wait(handlers: None) -> None:
    before = Before()
    signal.signal(signal.SIGTERM, before)
    draining = asyncio.Event()

    async def drain() -> None:
        draining.set()
        await asyncio.Event().wait()

    DrainOnSignal(drain).install()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await draining.wait()
    signal.raise_signal(signal.SIGTERM)
    assert before.called.is_set()


async def test_a_drain_that_fails_does_not_keep_the_process(handlers: None) -> None:
    before = Before()
    signal.signal(signal.SIGTERM, before)

    async def drain() -> None:
        raise RuntimeError("broken")

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    DrainOnSignal(drain).install()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await before.called.wait()


async def test_other_threads_leave_the_signals_alone(handlers: None) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def install() -> None:
        DrainOnSignal(asyncio.Event().wait).install()  # type: ignore[arg-type]

    await asyncio.to_thread(asyncio.run, install())
    assert signal.getsignal(signal.SIGTERM) is before
