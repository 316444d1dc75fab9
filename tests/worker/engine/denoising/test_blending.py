"""Blends and arcs of prompt embeds against plain formulas, in float64 and row by row."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.engines.golden_data import tensors
from torch import Tensor

from framewire.protocol.prompts.blends import Blend
from framewire.worker.engine.denoising.blending import PromptBlender, between, linear_blend, slerp
from framewire.worker.engine.denoising.prompt_ramp import PromptRamp

Rows = NDArray[np.float64]
CLOSE = 2e-5


def random_embeds(seed: int, rows: int) -> Tensor:
    """[12, 32], zero after `rows` rows, as after the end of a text."""
    embeds = torch.zeros(12, 32)
    embeds[:rows] = 3 * torch.randn(rows, 32, generator=torch.Generator().manual_seed(seed))
    return embeds


def random_set() -> list[Tensor]:
    return [random_embeds(seed, rows) for seed, rows in ((1, 12), (2, 5), (3, 9))]


def golden_set() -> list[Tensor]:
    golden = tensors("krea", "transformer.safetensors")
    text = tensors("krea", "text.safetensors")["out"][0]
    padded = torch.zeros(512, 32)
    padded[: len(text)] = text
    return [golden["prompt_a"][0], golden["prompt_b"][0], padded]


SETS = pytest.mark.parametrize("embeds", [random_set, golden_set])


def plain_blend(embeds: Sequence[Tensor], weights: Sequence[float]) -> Rows:
    rows = []
    for places in zip(*(each.double().numpy() for each in embeds), strict=True):
        total = sum(weight * row for weight, row in zip(weights, places, strict=True))
        wanted = sum(
            weight * math.sqrt(sum(x * x for x in row))
            for weight, row in zip(weights, places, strict=True)
        )
        length = math.sqrt(sum(x * x for x in total))
        rows.append(total * (wanted / length) if length else total)
    return np.array(rows)


def plain_slerp(one: Tensor, other: Tensor, part: float) -> Rows:
    rows = []
    for a, b in zip(one.double().numpy(), other.double().numpy(), strict=True):
        la, lb = math.sqrt(a @ a), math.sqrt(b @ b)
        if not la or not lb:
            rows.append((1 - part) * a + part * b)
            continue
        angle = math.acos(max(-1.0, min(1.0, float(a @ b) / (la * lb))))
        arc = math.sin((1 - part) * angle) * a / la + math.sin(part * angle) * b / lb
        rows.append(arc / math.sin(angle) * ((1 - part) * la + part * lb))
    return np.array(rows)


def lengths(embeds: Tensor) -> Tensor:
    return embeds.double().norm(dim=-1)


@SETS
@pytest.mark.parametrize("weights", [(1, 1, 1), (0.7, 0.2, 0.1), (1, 30, 4)])
def test_a_linear_blend_is_the_plain_formula_and_keeps_the_length_of_rows(
    embeds: object, weights: tuple[float, ...]
) -> None:
    found: list[Tensor] = embeds()  # type: ignore[operator]
    shares = [weight / sum(weights) for weight in weights]
    blend = linear_blend(found, shares)
    assert np.abs(blend.numpy() - plain_blend(found, shares)).max() < CLOSE
    mean = torch.stack([share * lengths(each) for share, each in zip(shares, found, strict=True)])
    assert torch.allclose(lengths(blend), mean.sum(0), atol=CLOSE)


@SETS
@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.99])
def test_slerp_is_the_plain_formula_with_lengths_in_between(embeds: object, part: float) -> None:
    one, other, *_ = embeds()  # type: ignore[operator]
    found = slerp(one, other, part)
    assert np.abs(found.numpy() - plain_slerp(one, other, part)).max() < CLOSE
    wanted = torch.lerp(lengths(one), lengths(other), part)
    both = (lengths(one) > 0) & (lengths(other) > 0)
    assert torch.allclose(lengths(found)[both], wanted[both], atol=CLOSE)


@SETS
def test_the_end_points_of_slerp_are_the_tensors_themselves(embeds: object) -> None:
    one, other, *_ = embeds()  # type: ignore[operator]
    assert slerp(one, other, 0.0) is one and slerp(one, other, 1.0) is other


def test_slerp_turns_by_equal_angles() -> None:
    one, other = torch.eye(2, 32)[:1], torch.eye(2, 32)[1:]
    found = [slerp(one, other, part / 4)[0] for part in range(5)]
    angles = [float(torch.rad2deg(torch.atan2(row[1], row[0]))) for row in found]
    assert angles == pytest.approx([0, 22.5, 45, 67.5, 90], abs=1e-3)


def test_rows_without_an_arc_are_blended_in_a_line_and_nothing_is_no_number() -> None:
    """Parallel, opposed and zero rows, and rows that cancel each other out."""
    row = torch.arange(1.0, 9.0)
    one = torch.stack([row, row, row, torch.zeros(8), torch.zeros(8)])
    other = torch.stack([2 * row, -row, torch.zeros(8), row, torch.zeros(8)])
    line = torch.lerp(one, other, 0.25)
    assert torch.allclose(slerp(one, other, 0.25), line, atol=1e-5)
    blend = linear_blend([one, other], [0.5, 0.5])
    assert blend.isfinite().all()
    assert not blend[1].any() and not blend[4].any()


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_what_comes_out_has_the_dtype_of_what_went_in(method: str) -> None:
    one, other = random_embeds(1, 9).bfloat16(), random_embeds(2, 9).bfloat16()
    assert between(one, other, 0.5, method).dtype == torch.bfloat16  # type: ignore[arg-type]
    assert linear_blend([one, other], [0.5, 0.5]).dtype == torch.bfloat16


def test_a_ramp_by_slerp_goes_along_the_arc_and_arrives_at_the_very_target() -> None:
    one, other = random_embeds(1, 9), random_embeds(2, 9)
    ramp = PromptRamp(one)
    ramp.turn_to(other, 4, "slerp")
    for step in range(1, 4):
        assert torch.equal(ramp.advance(), slerp(one, other, step / 4))
    assert ramp.advance() is other


class CountingEncoder:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str) -> Tensor:
        self.asked.append(text)
        return random_embeds(sum(map(ord, text)), 9)


def mix(**weights: float) -> Blend:
    total = sum(weights.values())
    return Blend(tuple((text, weight / total) for text, weight in weights.items() if weight))


def test_other_weights_of_texts_encode_nothing() -> None:
    """Also where a text's weight comes down to nothing and up again."""
    encoder = CountingEncoder()
    blender = PromptBlender(encoder)
    found = [blender.embeds(mix(fox=1, robot=weight)) for weight in (1, 2, 50)]
    assert encoder.asked == ["fox", "robot"]
    blender.embeds("fox")
    blender.embeds(Blend((("fox", 0.5), ("robot", 0.5)), "slerp"))
    assert encoder.asked == ["fox", "robot"]
    assert not torch.equal(found[0], found[1])
    fox, robot = random_embeds(sum(map(ord, "fox")), 9), random_embeds(sum(map(ord, "robot")), 9)
    assert torch.equal(found[0], linear_blend([fox, robot], [0.5, 0.5]))


def test_a_bounded_number_of_texts_is_kept() -> None:
    encoder = CountingEncoder()
    blender = PromptBlender(encoder)
    for number in range(20):
        blender.embeds(mix(**{f"a{number}": 1, f"b{number}": 1}))
    assert len(blender._kept) == 8
    blender.embeds(mix(a19=3, b17=1))
    assert len(encoder.asked) == 40
    blender.embeds(mix(a0=1, b0=1))
    assert len(encoder.asked) == 42


def test_eight_texts_at_once_are_encoded_once_each() -> None:
    encoder = CountingEncoder()
    blender = PromptBlender(encoder)
    for first in (1, 5):
        blender.embeds(mix(**{"a": first} | dict.fromkeys("bcdefgh", 1)))
    assert sorted(encoder.asked) == list("abcdefgh")
