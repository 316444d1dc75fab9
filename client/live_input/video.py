"""The pictures of a video file, one JPEG at a time.

What is damaged is left out, and counted at the end: nothing is repeated for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import InputError, in_words

from .decoding import Decoding
from .pace import Pace, pace_of, paced
from .pictures import VIDEO_EXTRA, Size, Unusable, encoded

_LITTLE = Fraction(1, 10)
"""Of a video's pictures; where fewer can be decoded it has failed."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a video before it is read.

    Attributes:
        fps: of the pictures given out.
        size: width and height of the pictures given out, in pixels.
        total: how many pictures its index tells of, where one does.
        notes: what is dropped or changed, in words.
    """

    fps: float
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
        total = decoding.indexed()
        notes = list(decoding.shown.changes)
        if container.streams.audio:
            notes.insert(0, "its sound is left out")
    pace = _pace(path)
    if not pace.is_even:
        notes.append(f"its frame rate varies: resampled to {pace.fps:.4g} fps")
        total = None  # of what it is resampled to
    return Probed(pace.fps, (first.width, first.height), total, tuple(notes))


def video_pictures(path: Path, covers: Size | None) -> Iterator[bytes | Unusable]:
    """Each picture as a JPEG, as shown; at the end, what could not be decoded. Blocks.

    Args:
        covers: width and height that the stream is known to have.

    Raises:
        InputError: it cannot be read, or little of it can be decoded.
    """
    pace = _pace(path)
    decoded = 0
    with _opened(path) as container:
        decoding = Decoding(container, str(path), covers)
        for decoded, (frame, count) in enumerate(paced(decoding, pace), 1):  # noqa: B007
            picture = encoded(frame.to_image()) if count else b""
            for _ in range(count):
                yield picture
        missing = decoding.missing(pace.step) if pace.is_even else 0
        damaged = decoding.bad or missing
        lost = max(decoding.bad, decoding.packets - decoded) if damaged else 0
    if lost:
        yield Unusable(path.name, "damaged pictures were left out", lost)
    if missing:
        yield Unusable(path.name, "pictures are missing from the file", missing)
    if decoded < (decoded + lost + missing) * _LITTLE:
        total = decoded + lost + missing
        raise InputError(f"{path} is damaged: {decoded} of {total} pictures can be decoded")


def _pace(path: Path) -> Pace:
    with _opened(path) as container:
        return pace_of(container)


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
