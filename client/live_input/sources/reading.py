"""What an open container gives, in the order in which it comes: pictures as shown, and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from framewire.client.errors import InputError
from framewire.client.live_input.as_shown import AsShown

from .sound import Resampled

_ERRORS_IN_A_ROW = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture, a PyAV frame in rgb24, and its time in seconds, if it has one."""

    frame: Any
    at: float | None


@dataclass(frozen=True, slots=True)
class Heard:
    """Some sound, a PyAV frame, and when it begins in seconds."""

    frame: Any
    at: float


def read(
    container: Any,
    shown: AsShown,
    *,
    wants: Callable[[float | None], bool],
    with_sound: bool,
) -> Iterator[Seen | Heard]:
    """All that comes, until the end; what is damaged is left out. Blocks.

    Args:
        wants: told the time of each frame; whether a picture is made of it.

    Raises:
        InputError: there is no picture track, or nothing of it can be decoded.
        OSError, ValueError: FFmpeg cannot read on.
    """
    if not container.streams.video:
        raise InputError("it has no picture track")
    video = container.streams.video[0]
    if video.codec_context is None:
        raise InputError("its pictures are of a kind that is not known here")
    video.thread_type = "SLICE"  # threads for whole frames would each hold one back
    sound = container.streams.audio[0] if with_sound and container.streams.audio else None
    resampled = Resampled()
    failed = 0
    for packet in container.demux([video, sound] if sound else [video]):
        try:
            decoded = packet.decode()
        except (OSError, ValueError):  # FFmpeg's errors are one or the other
            failed += 1
            if failed > _ERRORS_IN_A_ROW:
                raise InputError("none of its pictures can be decoded") from None
            continue
        failed = 0 if decoded else failed
        for frame in decoded:
            if packet.stream is sound:
                for made, at in resampled.take(frame):
                    yield Heard(made, at)
            elif wants(_time(frame)):
                aspect = float(video.sample_aspect_ratio or 1)
                for picture in shown.take(frame, aspect):
                    yield Seen(picture, _time(picture))


def _time(frame: Any) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base)
