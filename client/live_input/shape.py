"""The size of a stream that takes its shape from its input. Numbers only."""

from __future__ import annotations

from .pictures import Size

LANDSCAPE, PORTRAIT, SQUARE = (832, 480), (480, 832), (640, 640)
_NEARLY = 1.1


def stream_size(shape: Size) -> Size:
    """What a stream made from pictures of `shape` should have; within 10 % of square is square."""
    width, height = shape
    if width > height * _NEARLY:
        return LANDSCAPE
    return PORTRAIT if height > width * _NEARLY else SQUARE
