"""Samples as bytes, and as what PyAV's encoders take: s16 interleaved, stereo, 48 kHz."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from framewire.client.live_input.sources.sound import SOUND_FORMAT, SOUND_LAYOUT, SOUND_RATE

SAMPLE_BYTES = 4


def audio_frame(data: bytes, begins: int) -> Any:
    """A PyAV `AudioFrame` of these samples.

    Args:
        begins: the number of the first one in its track.
    """
    import av

    frame = av.AudioFrame(SOUND_FORMAT, SOUND_LAYOUT, len(data) // SAMPLE_BYTES, align=1)
    frame.planes[0].update(data)
    frame.sample_rate, frame.pts = SOUND_RATE, begins
    frame.time_base = Fraction(1, SOUND_RATE)
    return frame
