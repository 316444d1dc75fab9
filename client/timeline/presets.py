"""The presets that timelines are written for, and how many frames their blocks have.

For looking at a file where no worker is at hand; a worker tells its own numbers.
"""

from __future__ import annotations

from framewire.protocol.steering import BlockShape

USUAL = "krea-realtime-14b"
SHAPES = {
    "krea-realtime-14b": (6, 12),
    "self-forcing-1.3b": (9, 12),
    "longlive-1.3b": (9, 12),
    "causal-forcing-1.3b": (9, 12),
    "causal-forcing-framewise-1.3b": (1, 4),
    "causal-forcing-framewise-2step-1.3b": (1, 4),
    "causal-forcing-framewise-1step-1.3b": (1, 4),
    "streamdiffusionv2-1.3b": (5, 4),
    "tiny": (6, 12),
    "testcard": (6, 12),
}
"""Frames of the first block and of each later one."""
_SCOPES = {
    "krea-realtime-video": "krea-realtime-14b",
    "streamdiffusionv2": "streamdiffusionv2-1.3b",
    "self-forcing": "self-forcing-1.3b",
    "longlive": "longlive-1.3b",
}
"""Scope's names of the same models."""


def preset_of(pipeline: str | None) -> str | None:
    """The preset that runs a pipeline's model; None where there is none."""
    if pipeline in SHAPES:
        return pipeline
    return _SCOPES.get(pipeline or "")


def shape_of(preset: str) -> BlockShape:
    """Frames a block of a preset.

    Raises:
        KeyError: there is no such preset.
    """
    return BlockShape(*SHAPES[preset])
