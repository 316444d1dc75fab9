"""What a GPU costs an hour at those who rent them out, as published; each with where and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Price:
    """One offer, without commitment.

    Attributes:
        gpu: a name of `cards.CARDS`.
        usd: for an hour of one GPU, with what is rented with it.
        read: the day on which the page was seen to say so.
        note: what is peculiar about it.
    """

    provider: str
    gpu: str
    usd: float
    source: str
    read: str
    note: str = ""


_FAL = ("https://fal.ai/pricing", "2026-09-20")
_RUNPOD = "https://www.runpod.io/pricing"
_LAMBDA = ("https://lambda.ai/pricing", "2026-09-25")
_MODAL = ("https://modal.com/pricing", "2026-05-07", "by the second")
_AWS = ("https://aws.amazon.com/ec2/pricing/on-demand/", "2026-11-09", "us-east-1; 8 a machine")

PRICES: Final = (
    Price("fal", "b300", 8.50, *_FAL),
    Price("fal", "b200", 6.25, *_FAL),
    Price("fal", "h200", 4.50, *_FAL),
    Price("fal", "rtx-pro-6000", 2.99, *_FAL),
    Price("Runpod Secure", "b200", 6.79, _RUNPOD, "2026-09-25"),
    Price("Runpod Secure", "h200", 4.59, _RUNPOD, "2026-09-25"),
    Price("Runpod Secure", "h100", 3.99, _RUNPOD, "2026-11-09"),
    Price("Runpod Secure", "a100", 1.79, _RUNPOD, "2026-11-09"),
    Price("Runpod Secure", "l40s", 1.09, _RUNPOD, "2026-09-25"),
    Price("Runpod Secure", "rtx-4090", 0.74, _RUNPOD, "2026-09-25"),
    Price("Lambda", "b200", 6.99, *_LAMBDA),
    Price("Lambda", "h100", 4.29, *_LAMBDA),
    Price("Lambda", "a100", 2.79, *_LAMBDA, "8 a machine"),
    Price("Modal", "h100", 3.9492, *_MODAL),
    Price("Modal", "a100", 2.4984, *_MODAL),
    Price("Modal", "l40s", 1.9512, *_MODAL),
    Price("AWS", "h100", 6.88, *_AWS),
    Price("AWS", "a100", 3.4309, *_AWS),
)
"""On demand, one GPU unless noted. fal's list price of an H100 is missing: what was seen of its page
says only "as low as", which is with a commitment."""


def prices_of(gpu: str) -> tuple[Price, ...]:
    """All offers of a GPU, the cheapest first."""
    return tuple(sorted((one for one in PRICES if one.gpu == gpu), key=lambda one: one.usd))
