"""Sound beside pictures: whole, in place, as long as they, and never waited for beyond what is said."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import av
import numpy as np
import pytest

from framewire.client.errors import InputError
from framewire.client.live_input.sources.sound import SOUND_RATE, SoundPiece
from framewire.client.sound import Soundtrack

STEP = 480
"""Samples of ten milliseconds."""


def piece(at: float, samples: int, value: int) -> SoundPiece:
    data = np.full((1, 2 * samples), value, np.int16)
    frame = av.AudioFrame.from_ndarray(data, "s16", "stereo")
    frame.sample_rate = SOUND_RATE
    return SoundPiece(frame, at)


class Source:
    """Something to be heard."""

    def __init__(
        self, sound: Callable[[], Iterator[SoundPiece]], policy: Literal["all", "newest"] = "all"
    ) -> None:
        self._sound, self.policy = sound, policy

    def sound(self, since: float = 0.0) -> Iterator[SoundPiece]:
        return self._sound()


def of(*pieces: SoundPiece) -> Source:
    return Source(lambda: iter(pieces))


def counting(seconds: float) -> list[SoundPiece]:
    """Pieces of ten milliseconds, each with its number, from 1 on, as its samples."""
    return [piece(number / 100, STEP, number + 1) for number in range(round(seconds * 100))]


def left(data: bytes) -> list[int]:
    """The left channel."""
    return np.frombuffer(data, np.int16)[::2].tolist()


def heard(track: Soundtrack, *times: float) -> list[int]:
    """Asked for in steps that end at these times."""
    found: list[int] = []
    for seconds in times:
        at = len(found) / SOUND_RATE
        found += left(track.beside(at, round(seconds * SOUND_RATE) - len(found), waits=True))
        assert len(found) == round(seconds * SOUND_RATE)
    return found


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_gaps_are_silent_overlaps_are_cut_and_every_sample_is_in_place(steps: int) -> None:
    """Sound from before the first picture is left out; where it ends too early silence follows."""
    pieces = [piece(-0.01, 960, 1), piece(0.01, 480, 2), piece(0.04, 960, 3), piece(0.05, 960, 4)]
    times = [0.1 * (step + 1) / steps for step in range(steps)]
    found = heard(Soundtrack(of(*pieces)), *times)
    assert found == [1] * 480 + [2] * 480 + [0] * 960 + [3] * 960 + [4] * 480 + [0] * 1440


def test_times_that_are_rounded_leave_no_clicks() -> None:
    pieces = [piece(round(number * 1024 / SOUND_RATE, 3), 1024, number + 1) for number in range(40)]
    found = heard(Soundtrack(of(*pieces)), 40 * 1024 / SOUND_RATE)
    assert found == [number + 1 for number in range(40) for _ in range(1024)]


def test_what_cannot_be_read_is_silent_and_told() -> None:
    def broken() -> Iterator[SoundPiece]:
        yield piece(0.0, 480, 5)
        raise InputError("it is gone")

    track = Soundtrack(Source(broken))
    assert heard(track, 0.02, 0.03) == [5] * 480 + [0] * 960
    assert track.failure == "it is gone"


def test_it_begins_at_the_first_picture_and_leaves_out_what_pictures_have_passed() -> None:
    """A file that is begun in the middle, and frames that were left out."""
    track = Soundtrack(of(*counting(3)))
    assert left(track.beside(1.0, STEP, waits=True)) == [101] * STEP
    assert left(track.beside(1.1, STEP, waits=True)) == [102] * STEP, "by little: it goes on"
    assert left(track.beside(2.0, STEP, waits=True)) == [201] * STEP


def test_sound_that_is_ahead_waits_in_silence_until_its_picture_comes() -> None:
    """Which is repeated meanwhile: a tenth of a second is all that it gets ahead."""
    track = Soundtrack(of(*counting(1)))
    first = [left(track.beside(0.0, STEP, waits=True))[0] for _ in range(50)]
    assert first == [*range(1, 12), *[0] * 39]
    later = [left(track.beside(number / 100, STEP, waits=True))[0] for number in range(50)]
    assert later == [*[0] * 11, *range(12, 51)]


def test_what_has_not_come_is_played_later_where_nobody_waits() -> None:
    """As long as no more of it has come, and by a quarter of a second at most."""
    some, more = threading.Event(), threading.Event()

    def slow() -> Iterator[SoundPiece]:
        some.wait()
        yield from counting(0.1)
        more.wait()
        yield from counting(3)[10:]

    track = Soundtrack(Source(slow, "newest"))
    silent = [left(track.beside(number / 100, STEP, waits=False)) for number in range(20)]
    assert silent == [[0] * STEP] * 20
    some.set()
    assert first_heard(track, 0.2) == 1
    more.set()
    track.wait(None, 10)
    assert first_heard(track, 0.5) == 51
    assert first_heard(track, 2.5) == 251
    track.close()


def first_heard(track: Soundtrack, at: float) -> int:
    while not any(found := left(track.beside(at, STEP, waits=False))):
        pass
    assert found == [found[0]] * STEP
    return found[0]


def test_sound_of_what_is_live_is_waited_for_until_it_is_overdue() -> None:
    """Half a second after its picture, though the source says nothing at all."""
    silent = threading.Event()

    def never() -> Iterator[SoundPiece]:
        silent.wait()
        yield piece(0.0, STEP, 1)

    track = Soundtrack(Source(never, "newest"))
    at = time.monotonic()
    assert left(track.beside(at, STEP, waits=True)) == [0] * STEP
    assert time.monotonic() >= at + 0.5
    track.close()
    silent.set()


def test_only_a_little_is_read_ahead() -> None:
    """However long the clip is: nothing grows with it."""
    read = 0

    def long() -> Iterator[SoundPiece]:
        nonlocal read
        for found in counting(100):
            read += 1
            yield found

    track = Soundtrack(Source(long))
    for number in range(1000):
        assert left(track.beside(number / 100, STEP, waits=True)) == [number + 1] * STEP
        assert read <= number + 102
    track.close()
