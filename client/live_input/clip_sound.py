"""The sound of a clip, in one form, with times that count from its first picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .sources.naming import Named
from .sources.sound import Resampled, SoundPiece
from .video import opened_clip

_BEFORE = 1.0
"""Seconds from which on a beginning is looked for, since the first packets decode to little."""


def clip_sound(place: Path | Named, since: float = 0.0) -> Iterator[SoundPiece]:
    """Its first sound track in order; nothing where it has none. What is damaged is left out.

    Sound from before the first picture comes too, at times below 0. Blocks.

    Args:
        since: seconds from the first picture on; of what is before, little is read.

    Raises:
        InputError: it cannot be opened.
    """
    with opened_clip(place) as container:
        if not container.streams.audio:
            return
        track = container.streams.audio[0]
        pictures = container.streams.video[0]
        begins = float((pictures.start_time or 0) * pictures.time_base)
        if since > _BEFORE:
            with contextlib.suppress(OSError, ValueError):  # then all of it is read
                at = begins + since - _BEFORE
                container.seek(int(at / track.time_base), stream=track)
        resampled = Resampled()
        packets = container.demux(track)
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except (OSError, ValueError):  # FFmpeg's errors are one or the other
                continue
            if packet is None:
                return
            for frame in frames:
                for made, at in resampled.take(frame):
                    yield SoundPiece(made, at - begins)
