"""GPUs and models as numbers, and how many streams they make together by arithmetic alone.

Nothing here is measured: a bench file (`bench_file.py`) replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PRODUCTS, MOVES = 0.65, 0.9
"""The part of a card's published peaks that is expected of it, in products and in moving bytes."""
KEPT_FREE = 0.05
"""Of a card's memory."""


@dataclass(frozen=True, slots=True)
class Card:
    """What its maker publishes.

    Attributes:
        name: as it is called in words; the name on the command line is its key.
        gb: memory.
        tflops: dense bfloat16 products a second.
        bandwidth: GB a second.
    """

    name: str
    gb: float
    tflops: float
    bandwidth: float


CARDS: Final[Mapping[str, Card]] = {
    "a100": Card("A100 80 GB", 80, 312, 2039),
    "b200": Card("B200", 180, 2250, 8000),
    "b300": Card("B300", 288, 2250, 8000),
    "h100": Card("H100", 80, 989, 3350),
    "h200": Card("H200", 141, 989, 4800),
    "l40s": Card("L40S", 48, 362, 864),
    "rtx-4090": Card("RTX 4090", 24, 165, 1008),
    "rtx-pro-6000": Card("RTX PRO 6000", 96, 503, 1597),
}


@dataclass(frozen=True, slots=True)
class Model:
    """A preset's faithful path at the size that it was trained for; `bench engine --count` counts it.

    Attributes:
        frames: of a settled block.
        tflop: that it takes, of products.
        traffic: GB moved besides products, in eager mode.
        gb: before the first stream: weights, what streams share, and the most that a pass needs.
        gb_a_stream: what each stream holds, live input's encoder included where it takes any.
    """

    frames: int
    tflop: float
    traffic: float
    gb: float
    gb_a_stream: float


MODELS: Final[Mapping[str, Model]] = {
    "krea-realtime-14b": Model(12, 771.6, 2298.0, 51.4, 3.01),
    "self-forcing-1.3b": Model(12, 241.4, 778.0, 17.6, 7.93),
    "longlive-1.3b": Model(12, 181.3, 789.2, 17.6, 5.77),
    "causal-forcing-1.3b": Model(12, 241.4, 778.0, 17.6, 7.93),
    "causal-forcing-framewise-1.3b": Model(4, 80.5, 259.4, 17.6, 7.93),
    "causal-forcing-framewise-2step-1.3b": Model(4, 53.5, 198.4, 17.6, 7.93),
    "causal-forcing-framewise-1step-1.3b": Model(4, 40.1, 167.9, 17.6, 7.93),
    "streamdiffusionv2-1.3b": Model(4, 21.8, 149.9, 16.6, 3.11),
}


def frames_a_second(model: Model, card: Card) -> float:
    """Estimate of all streams of one card together; launches cost nothing in it."""
    seconds = model.tflop / (PRODUCTS * card.tflops) + model.traffic / (MOVES * card.bandwidth)
    return model.frames / seconds


def streams_that_fit(card: Card, held: float, gb_a_stream: float) -> int:
    """How many streams its memory has room for beside what is `held` (GB) without any."""
    return max(0, int((card.gb * (1 - KEPT_FREE) - held) / gb_a_stream))
