"""Messages of which a part has come: bounded for one address and in all, the oldest goes first."""

from dataclasses import dataclass, field

from framewire.worker.runtime.metrics import Metrics
from framewire.worker.server.doors import half_messages as module
from framewire.worker.server.doors.half_messages import HalfMessages
from framewire.worker.server.doors.refusals import Reason, Refusals

MB = 1_000_000
ONE, OTHER = "203.0.113.7", "203.0.113.8"


@dataclass(eq=False)
class Assembler:
    codes: list[int] = field(default_factory=list)

    def give_up(self, code: int, reason: str) -> None:
        self.codes.append(code)


def bounded() -> tuple[HalfMessages, Metrics]:
    metrics = Metrics()
    return HalfMessages(metrics, Refusals(metrics)), metrics


def test_over_the_bound_of_an_address_its_oldest_message_is_given_up() -> None:
    half, metrics = bounded()
    first, second, neighbour = Assembler(), Assembler(), Assembler()
    half.hold(neighbour, OTHER, 60 * MB)
    half.hold(first, ONE, 16 * MB)
    half.hold(second, ONE, 48 * MB)
    assert not first.codes
    half.hold(second, ONE, 49 * MB)
    assert (first.codes, second.codes, neighbour.codes) == ([1009], [], [])
    assert half.bytes == 109 * MB == metrics.half_message_bytes._value.get()
    assert metrics.refusals.labels(Reason.HALF_MESSAGES)._value.get() == 1


def test_over_the_bound_of_all_the_oldest_is_given_up_whoever_sends_it() -> None:
    half, _ = bounded()
    many = [Assembler() for _ in range(300)]
    for number, assembler in enumerate(many):
        half.hold(assembler, f"203.0.113.{number % 100}", 16 * MB)
        assert half.bytes <= module.MOST_BYTES
    given_up = [bool(assembler.codes) for assembler in many]
    assert given_up == [True] * 284 + [False] * 16


def test_loopback_has_no_bound_of_its_own_but_that_of_all() -> None:
    half, _ = bounded()
    many = [Assembler() for _ in range(17)]
    for assembler in many:
        half.hold(assembler, None, 16 * MB)
    assert [len(assembler.codes) for assembler in many] == [1] + [0] * 16


def test_a_message_that_is_whole_is_no_longer_counted() -> None:
    half, _ = bounded()
    assembler = Assembler()
    for _ in range(100):
        half.hold(assembler, ONE, 8 * MB)
        half.hold(assembler, ONE, 16 * MB)
        half.release(assembler)
        half.release(assembler)
    assert half.bytes == 0 and not half._held and not half._of_one and not assembler.codes
