"""What is shown live: RTMP, UDP and HLS, each at a steady clock, in a process of its own."""

from .sink import Sink, sink_for
from .target import Target, target_of

__all__ = ["Sink", "Target", "sink_for", "target_of"]
