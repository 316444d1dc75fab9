"""Clips that flash and beep at the same known times, and when what was made from them does."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS, RATE, SIDE = 24, 48_000, 64
_APART, _FAR = 0.15, 0.3
"""Seconds that are more than within a flash and less than between two; less than from one to the next."""


def flashes(seconds: int) -> list[int]:
    """The numbers of the frames that flash while it beeps: one a second or so, at uneven times."""
    draw = random.Random(7)
    return [second * FPS + draw.randrange(4, FPS - 4) for second in range(1, seconds - 1)]


def clip_with_beeps(path: Path, seconds: int, last: int = 1) -> None:
    """Dark pictures and silence, but for a white picture and a beep, as long as it, at `flashes`.

    Args:
        last: pictures that a flash and a beep last.
    """
    at = {number + more for number in flashes(seconds) for more in range(last)}
    tone = np.sin(np.arange(RATE // FPS) * 2 * np.pi * 1000 / RATE) * 0.7
    with av.open(str(path), "w") as file:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "12"}
        video = file.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        sound = file.add_stream("aac", rate=RATE)
        sound.layout = "stereo"
        for number in range(seconds * FPS):
            level = 255 if number in at else 20
            picture = np.full((SIDE, SIDE, 3), level, np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            part = tone if number in at else np.zeros(RATE // FPS)
            frame = av.AudioFrame.from_ndarray(np.array([part, part], np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, number * (RATE // FPS)
            file.mux(sound.encode(frame))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))


def bright_times(path: Path) -> tuple[list[float], float]:
    """When each flash begins, and when the first picture is shown: some files begin after 0."""
    with av.open(str(path)) as file:
        shown = _decoded(file, file.streams.video[0])
        frames = [(f.time or 0.0, f.to_ndarray(format="gray").mean()) for f in shown]
    middle = (min(level for _, level in frames) + max(level for _, level in frames)) / 2
    return _begins([at for at, level in frames if level > middle]), frames[0][0]


def loud_times(path: Path) -> tuple[list[float], float]:
    """When each beep begins, and how long the sound lasts."""
    found: list[float] = []
    end = 0.0
    with av.open(str(path)) as file:
        for frame in _decoded(file, file.streams.audio[0]):
            samples = np.abs(frame.to_ndarray().astype(np.float64).reshape(-1, frame.samples)[0])
            samples = samples / (32768 if "16" in frame.format.name else 1)
            at = frame.time or 0.0
            found += (at + np.flatnonzero(samples > 0.2) / frame.sample_rate).tolist()
            end = at + frame.samples / frame.sample_rate
    return _begins(found), end


def _decoded(file: Any, track: Any) -> Iterator[Any]:
    """Its frames, but for the packet with which somebody joined in the middle, or that UDP has lost."""
    for packet in file.demux(track):
        with contextlib.suppress(av.error.InvalidDataError):
            yield from packet.decode()


def _begins(times: list[float]) -> list[float]:
    """The first of each run."""
    return [at for at, before in zip(times, [-1.0, *times], strict=False) if at - before > _APART]


def offsets(path: Path, since: float = 0.0) -> tuple[list[float], int]:
    """How much later than its flash each beep is, in seconds, and how many of both stand alone.

    Args:
        since: seconds from the first picture on; what is before does not count.
    """
    (shown, begin), (heard, _) = bright_times(path), loud_times(path)
    flashes, beeps = ([at for at in times if at - begin >= since] for times in (shown, heard))
    found = [min((beep - flash for beep in beeps), key=abs, default=_FAR) for flash in flashes]
    paired = [off for off in found if abs(off) < _FAR]
    return paired, len(flashes) + len(beeps) - 2 * len(paired)
