"""Frames for savers: of one colour each, or with twelve flat patches, and what a video shows."""

import io
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from framewire.client import Frame

from .servers.stand_in import picture

COLOURS = [
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0),
    (0, 255, 255), (255, 0, 255), (200, 30, 30), (30, 200, 30),
    (30, 30, 200), (240, 130, 20), (128, 128, 128), (20, 20, 24),
]  # fmt: skip
ROWS, COLUMNS = 3, 4


def frame(index: int, jpeg: bytes | None = None) -> Frame:
    shown = picture(index) if jpeg is None else jpeg
    return Frame(index=index, block=index // 12, jpeg=shown, received_at=float(index))


def mean_colour(jpeg: bytes) -> NDArray[np.float64]:
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return np.array(shown.mean((0, 1)))


def patches(width: int, height: int) -> NDArray[np.uint8]:
    """[H, W, 3]: the twelve colours, in three rows."""
    shown = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        row, column = divmod(number, COLUMNS)
        rows = slice(row * height // ROWS, (row + 1) * height // ROWS)
        columns = slice(column * width // COLUMNS, (column + 1) * width // COLUMNS)
        shown[rows, columns] = colour
    return shown


@cache
def patches_jpeg(width: int, height: int, subsampling: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(patches(width, height)).save(data, "JPEG", quality=90, subsampling=subsampling)
    return data.getvalue()


def patch_means(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[12, 3]: the mean of each channel over the middle of each patch."""
    height, width = shown.shape[0] // ROWS, shown.shape[1] // COLUMNS
    cells = (shown[r * height :, c * width :] for r in range(ROWS) for c in range(COLUMNS))
    return np.array(
        [
            cell[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4].mean((0, 1))
            for cell in cells
        ]
    )


def first_picture_by_its_tag(path: Path) -> tuple[tuple[int, ...], NDArray[np.uint8]]:
    """What a player that believes the file's colour tags shows first.

    Returns:
        matrix, range, primaries and transfer by their numbers in ITU-T H.273 (range: 1 limited), and
        the picture [H, W, 3], converted in floating point with nothing of FFmpeg's.
    """
    with av.open(str(path)) as video:
        shown = next(video.decode(video=0))
    tags = (shown.colorspace, shown.color_range, shown.color_primaries, shown.color_trc)
    weights = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}
    red, blue = weights[int(shown.colorspace)]
    assert shown.color_range == 1, "the range that is meant has to be told"
    planes = [
        np.frombuffer(bytes(plane), np.uint8)
        .reshape(-1, plane.line_size)[:, : plane.width]
        .astype(float)
        for plane in shown.planes
    ]
    luma = (planes[0] - 16) * 255 / 219
    cb, cr = (
        np.repeat(np.repeat((plane - 128) * 255 / 224, 2, 0), 2, 1)[
            : luma.shape[0], : luma.shape[1]
        ]
        for plane in planes[1:]
    )
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return tags, np.clip(np.stack([r, g, b], -1), 0, 255).round().astype(np.uint8)
