"""The sound of a source beside the pictures made from it, sample by sample."""

from .ahead import SoundAhead
from .samples import SAMPLE_BYTES, audio_frame
from .soundtrack import Sounding, Soundtrack

__all__ = ["SAMPLE_BYTES", "SoundAhead", "Sounding", "Soundtrack", "audio_frame"]
