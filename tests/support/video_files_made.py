"""Small real videos for tests, and what is in a video: frames, rate, colours."""

import base64
import io
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """A video that a player could play."""

    frames: list[NDArray[np.uint8]]  # each [H, W, 3]
    fps: Fraction
    codec: str
    pixel_format: str

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.frames[0].shape[:2]
        return width, height


def seen(data: bytes) -> Seen:
    """Every frame of a video file, decoded."""
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.video[0]
        decoded = file.decode(stream)
        frames = [
            frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in decoded
        ]
        assert stream.average_rate is not None
        context = stream.codec_context
        return Seen(frames, stream.average_rate, context.name, str(context.pix_fmt))


def video(
    colours: list[tuple[int, int, int]],
    *,
    fps: int = 16,
    size: tuple[int, int] = (128, 64),
    fmt: str = "mp4",
) -> bytes:
    """A video of one frame a colour."""
    pictures = [np.full((size[1], size[0], 3), colour, np.uint8) for colour in colours]
    return video_of(pictures, fps=fps, fmt=fmt)


def video_of(pictures: list[NDArray[np.uint8]], *, fps: int = 16, fmt: str = "mp4") -> bytes:
    """A video of pictures [H, W, 3]."""
    data = io.BytesIO()
    with av.open(data, "w", format=fmt) as file:
        stream = file.add_stream("libvpx" if fmt == "webm" else "libx264", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode(None))
    return data.getvalue()


def data_url(data: bytes) -> str:
    return "data:video/mp4;base64," + base64.b64encode(data).decode()
