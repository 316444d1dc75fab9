"""The pictures of a video file, one JPEG at a time.

A video of a variable frame rate is resampled by time to its average rate: at each step, the frame
that shows then. Where a packet is damaged, its time is cut out: nothing is repeated for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from framewire.client.errors import InputError, in_words

from .decoding import Decoding
from .pictures import VIDEO_EXTRA, Size, Unusable, encoded

_EARLY = Fraction(1, 4)
"""Of a step, by which a frame may come too late: some containers round times to milliseconds."""
_ROUNDED = Fraction(1, 500)  # seconds: of times in milliseconds, both ways
_LONGEST = 60
"""Seconds between two frames beyond which a file's clock has jumped rather than gone on."""
_LITTLE = Fraction(1, 10)
"""Of a video's pictures; where fewer can be decoded it has failed."""
_PROBED = 5000  # packets


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a video before it is read.

    Attributes:
        fps: of the pictures given out.
        size: width and height of the pictures given out, in pixels.
        total: how many pictures its index tells of, where one does.
        notes: what is dropped or changed, in words.
    """

    fps: float | None
    size: tuple[int, int]
    total: int | None
    notes: tuple[str, ...]


def probe(path: Path) -> Probed:
    """What a video is, from its beginning. Blocks.

    Raises:
        InputError: it is no video that can be read, or nothing of it can be decoded.
    """
    with _opened(path) as container:
        decoding = Decoding(container, str(path))
        first = next(decoding.frames(), None)
        if first is None:
            raise InputError(f"{path} is damaged: no picture of it can be decoded")
        step, total = _step(decoding.stream), decoding.indexed()
        notes = list(decoding.shown.changes)
        if container.streams.audio:
            notes.insert(0, "its sound is left out")
    if step is not None and _is_uneven(path, step):
        notes.append(f"its frame rate varies: resampled to {float(1 / step):.4g} fps")
        total = None  # of what they are resampled to
    size = first.width, first.height
    return Probed(float(1 / step) if step else None, size, total, tuple(notes))


def video_pictures(path: Path, covers: Size | None) -> Iterator[bytes | Unusable]:
    """Each picture as a JPEG, as shown; at the end, what could not be decoded. Blocks.

    Args:
        covers: width and height that the stream is known to have.

    Raises:
        InputError: it cannot be read, or little of it can be decoded.
    """
    made = 0
    with _opened(path) as container:
        decoding = Decoding(container, str(path), covers)
        for frame, count in _held(decoding):
            if count:
                picture = encoded(frame.to_image())
            for _ in range(count):
                made += 1
                yield picture
        bad, missing = decoding.bad, decoding.missing()
    if bad:
        yield Unusable(path.name, "damaged packets were left out", bad)
    if missing:
        yield Unusable(path.name, "the file is cut off", missing)
    if made < (made + bad + missing) * _LITTLE:
        total = made + bad + missing
        raise InputError(f"{path} is damaged: {made} of {total} pictures can be decoded")


def load_av(name: str) -> Any:
    """The `av` module, Pillow being there too.

    Raises:
        InputError: one of them is not installed; says what it is needed for.
    """
    try:
        import av
        import PIL  # noqa: F401
    except ImportError:
        raise InputError(f"reading {name} needs PyAV and Pillow", hint=VIDEO_EXTRA) from None
    return av


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = load_av(str(path))
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            # As an open file, because FFmpeg takes the beginning of `take:1.mp4` for a protocol.
            # What a playlist names is not opened.
            container = av.open(file, options={"protocol_whitelist": ""})
            opened.enter_context(container)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{path} is no video that can be read: {in_words(error)}") from error
        yield container


def _step(stream: Any) -> Fraction | None:
    """Seconds from one picture to the next, on average."""
    rate = stream.average_rate or stream.guessed_rate
    return 1 / Fraction(rate) if rate else None


def _is_uneven(path: Path, step: Fraction) -> bool:
    """Whether pictures are shown for clearly different times, by the first packets."""
    times: list[Fraction] = []
    with _opened(path) as container, contextlib.suppress(ValueError, OSError):
        for packet in container.demux(video=0):  # whose errors are one or the other
            if packet.size and packet.pts is not None:
                times.append(packet.pts * packet.time_base)
            if len(times) == _PROBED:
                break
    times.sort()
    if len(times) == _PROBED:
        del times[-16:]  # those that are shown between them may come later
    gaps = [after - before for before, after in pairwise(times)]
    return bool(gaps) and max(gaps) - min(gaps) > step / 2 + _ROUNDED


def _held(decoding: Decoding) -> Iterator[tuple[Any, int]]:
    """Each frame, and how many pictures it makes at an even rate."""
    step = _step(decoding.stream)
    clock = Fraction(0)
    made = 0
    for frame, seconds in _lasting(decoding, step or Fraction(1)):
        if step is None:
            yield frame, 1
            continue
        clock += seconds
        count = max(not made, -((made * step - clock + _EARLY * step) // step))
        made += count
        yield frame, count


def _lasting(decoding: Decoding, step: Fraction) -> Iterator[tuple[Any, Fraction]]:
    """Each frame with the seconds for which it is shown."""
    showing: Any = None
    since = Fraction(0)
    for frame in decoding.frames():
        at = since + step if frame.pts is None else frame.pts * frame.time_base
        if showing is not None:
            until = next(decoding.gaps_before(at), at)
            yield showing, until - since if 0 < until - since <= _LONGEST else step
        list(decoding.gaps_before(at))
        showing, since = frame, at
    if showing is not None:
        last = (showing.duration or 0) * showing.time_base
        yield showing, last if 0 < last <= _LONGEST else step
