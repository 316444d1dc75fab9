"""Prompts to begin with, by preset: for the command line and the page alike."""

from __future__ import annotations

from .krea_realtime import PROMPTS as _KREA_REALTIME
from .self_forcing import PROMPTS as _SELF_FORCING
from .streamdiffusionv2 import PROMPTS as _STREAMDIFFUSIONV2
from .testcard import PROMPTS as _TESTCARD
from .tiny import PROMPTS as _TINY

EXAMPLE_PROMPTS: dict[str, tuple[str, ...]] = {
    "krea-realtime-14b": _KREA_REALTIME,
    "self-forcing-1.3b": _SELF_FORCING,
    "longlive-1.3b": _SELF_FORCING,
    "causal-forcing": _SELF_FORCING,
    "streamdiffusionv2-1.3b": _STREAMDIFFUSIONV2,
    "testcard": _TESTCARD,
    "tiny": _TINY,
}
"""Each list is in the form that its model was trained on."""


def example_prompts(preset: str) -> tuple[str, ...]:
    """Those of a preset, or of the one that it is a variant of (`tiny-random`); else Krea's."""
    known = next((name for name in EXAMPLE_PROMPTS if preset.startswith(name)), None)
    return EXAMPLE_PROMPTS[known or "krea-realtime-14b"]
