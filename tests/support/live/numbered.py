"""Pictures whose number can be read from their pixels, after any encoder."""

import io
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT, FPS = 192, 96, 25
_BITS = 10
_COLUMNS = 6
_SIDE = WIDTH // _COLUMNS


def picture(number: int) -> NDArray[np.uint8]:
    """[HEIGHT, WIDTH, 3]: a square for each bit, the last two rows being grey."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(_BITS):
        row, column = divmod(bit, _COLUMNS)
        level = 235 if number >> bit & 1 else 20
        pixels[row * _SIDE : (row + 1) * _SIDE, column * _SIDE : (column + 1) * _SIDE] = level
    return pixels


def number_in(jpeg: bytes) -> int:
    """The number of a picture that may have been scaled."""
    grey = Image.open(io.BytesIO(jpeg)).convert("L").resize((WIDTH, HEIGHT))
    pixels = np.asarray(grey)
    found = 0
    for bit in range(_BITS):
        row, column = divmod(bit, _COLUMNS)
        middle = pixels[row * _SIDE + _SIDE // 2, column * _SIDE + _SIDE // 2]
        assert not 80 < middle < 170, f"bit {bit} is {middle}"
        found |= int(middle > 128) << bit
    return found


@cache
def _clip(count: int) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as file:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}
        stream = file.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = file.add_stream("aac", rate=48_000)
        sound.layout = "mono"
        for number in range(count):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        samples = np.arange(48_000 * count // FPS)
        # Silence, but for a tone in the second second.
        tone = np.where((samples >= 48_000) & (samples < 96_000), np.sin(samples / 10), 0.0)
        for begin in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(
                tone[None, begin : begin + 1024].astype(np.float32), "fltp", "mono"
            )
            frame.rate, frame.pts = 48_000, begin
            file.mux(sound.encode(frame))
        file.mux(stream.encode(None))
        file.mux(sound.encode(None))
    return data.getvalue()


def numbered_clip(folder: Path, count: int) -> Path:
    """An MP4 of so many pictures, H.264 without B-frames, with sound."""
    path = folder / f"numbered-{count}.mp4"
    path.write_bytes(_clip(count))
    return path
