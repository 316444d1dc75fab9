"""The threads for what comes in: nobody waits for all that another caller wants."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from framewire.worker.runtime import fair_threads
from framewire.worker.runtime.fair_threads import FairThreads

PATIENCE = 60.0


class Clock:
    """Stands still but where a call says how long it takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Bench:
    """One thread, held until all is submitted; `order` says what ran."""

    def __init__(self, threads: FairThreads, clock: Clock) -> None:
        self._threads = threads
        self._clock = clock
        self._gate = threading.Event()
        self.order: list[str] = []
        self._held = threads.submit("nobody", self._gate.wait)

    def submit(self, caller: str, name: str, seconds: float = 0.0) -> "Future[None]":
        def call() -> None:
            self._clock.now += seconds
            self.order.append(name)

        return self._threads.submit(caller, call)

    def run(self, futures: list["Future[None]"]) -> str:
        self._gate.set()
        for future in futures:
            future.result(PATIENCE)
        return " ".join(self.order)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = Clock()
    monkeypatch.setattr(fair_threads, "time", clock)
    threads = FairThreads(1, "test")
    yield Bench(threads, clock)
    threads.close()


def test_callers_take_turns_and_each_one_s_calls_keep_their_order(bench: Bench) -> None:
    many = [bench.submit("many", f"m{at}", 1.0) for at in range(4)]
    few = [bench.submit("few", f"f{at}", 1.0) for at in range(2)]
    assert bench.run(many + few) == "m0 f0 m1 f1 m2 m3"


def test_who_takes_long_waits_while_others_catch_up(bench: Bench) -> None:
    """A call of ten seconds is worth ten of one second."""
    slow = [bench.submit("slow", f"s{at}", 10.0) for at in range(2)]
    quick = [bench.submit("quick", f"q{at}", 1.0) for at in range(12)]
    order = bench.run(slow + quick).split()
    assert order.index("s1") >= 10


def test_who_was_idle_has_saved_nothing_up(bench: Bench) -> None:
    early = [bench.submit("early", f"e{at}", 5.0) for at in range(6)]
    late: list[Future[None]] = []

    def join(_: Any) -> None:
        late.extend(bench.submit("late", f"l{at}", 5.0) for at in range(6))

    early[3].add_done_callback(join)
    bench.run(early)
    for future in late:
        future.result(PATIENCE)
    assert bench.order[4:8] in (["l0", "e4", "l1", "e5"], ["e4", "l0", "e5", "l1"])


def test_a_cancelled_call_is_passed_over(bench: Bench) -> None:
    first, second = bench.submit("a", "a0"), bench.submit("a", "a1")
    assert first.cancel()
    assert bench.run([second]) == "a1"


def test_an_error_is_the_caller_s_and_the_thread_goes_on() -> None:
    threads = FairThreads(1, "test")

    def fails() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        threads.submit("a", fails).result(PATIENCE)
    assert threads.submit("a", lambda: 7).result(PATIENCE) == 7
    threads.close()


def test_after_closing_nothing_starts_and_nobody_waits_for_what_runs() -> None:
    threads = FairThreads(1, "test")
    running, gate = threading.Event(), threading.Event()

    def call() -> None:
        running.set()
        gate.wait()

    under_way: Future[Any] = threads.submit("a", call)
    assert running.wait(PATIENCE)
    waiting = threads.submit("a", lambda: 7)
    threads.close()
    assert waiting.cancelled() and not under_way.done()
    with pytest.raises(RuntimeError):
        threads.submit("a", lambda: 7)
    gate.set()
    under_way.result(PATIENCE)


@pytest.mark.parametrize("count", [1, 3])
def test_calls_run_on_as_many_threads_as_there_are(count: int) -> None:
    threads = FairThreads(count, "test")
    barrier = threading.Barrier(count)
    waits: Callable[[], int] = lambda: barrier.wait(PATIENCE)
    assert sorted(
        future.result(PATIENCE) for future in [threads.submit("a", waits) for _ in range(count)]
    ) == list(range(count))
    threads.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_the_threads_yield_to_the_process_s_other_ones() -> None:
    threads = FairThreads(1, "test", nice=2)

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert threads.submit("a", priority).result(PATIENCE) == min(19, priority() + 2)
    threads.close()
