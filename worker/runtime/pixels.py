"""From float planes, as decoders leave them, to 8-bit pixels.

Arithmetic in numpy, a cacheful at a time: most of what this costs otherwise is memory traffic and
page faults, not sums. Knows neither JPEG nor session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from framewire.worker.backends.base import Frames, Planes

_ROWS = 60
"""Rows converted at a time, so that what is in between stays in the cache."""


def packed(planes: Planes) -> Iterator[NDArray[np.uint8]]:
    """The pictures of `planes` [T, 3, H, W] in turn as uint8 [H, W, 4]: red, green, blue, unused.

    A level is 255 * (x + 1) / 2, kept within 0 to 255, its fraction cut off. Every picture lies in
    the same memory: it is gone when the next one is asked for.

    Four bytes a pixel, because putting whole 32-bit words together takes a quarter of the time
    that storing every third byte does.
    """
    _, _, height, width = planes.shape
    picture = np.empty((height, width), "<i4")
    levels = np.empty((3, _ROWS, width), np.float32)
    whole = np.empty((3, _ROWS, width), np.int32)
    for frame in planes:
        for row in range(0, height, _ROWS):
            strip = frame[:, row : row + _ROWS]
            _pack(strip, levels[:, : strip.shape[1]], whole[:, : strip.shape[1]], picture[row:])
        yield picture.view(np.uint8).reshape(height, width, 4)


def eight_bit(frames: Frames | Planes) -> Frames:
    """`frames` as uint8 [T, H, W, 3]; what is 8-bit already comes back as it is."""
    if frames.dtype == np.uint8:
        return cast(Frames, frames)
    count, _, height, width = frames.shape
    out = np.empty((count, height, width, 3), np.uint8)
    for picture, pixels in zip(out, packed(cast(Planes, frames)), strict=True):
        picture[:] = pixels[..., :3]
    return out


def _pack(
    strip: Planes, levels: NDArray[np.float32], whole: NDArray[np.int32], out: NDArray[np.int32]
) -> None:
    """One strip [3, h, W] to the first h rows of `out`; the other two are scratch of its shape."""
    np.add(strip, 1, out=levels)
    np.multiply(levels, 127.5, out=levels)
    np.clip(levels, 0, 255, out=levels)
    with np.errstate(invalid="ignore"):  # what is no number becomes some level
        np.copyto(whole, levels, casting="unsafe")
    words = out[: strip.shape[1]]
    red, green, blue = whole
    np.left_shift(blue, 8, out=words)
    np.bitwise_or(words, green, out=words)
    np.left_shift(words, 8, out=words)
    np.bitwise_or(words, red, out=words)
