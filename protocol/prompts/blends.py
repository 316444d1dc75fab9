"""What is to be shown: one prompt, or several texts blended by their weights.

Says what a client may ask for and when two asks are the same; how texts become one is the
worker's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from framewire.protocol.from_wire import FromWire, not_bool, not_bytes
from framewire.protocol.limits import MAX_BLENDED, MAX_PROMPT_CHARS, MAX_WEIGHT

Method = Literal["linear", "slerp"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Prompt = Annotated[
    str,
    Field(max_length=MAX_PROMPT_CHARS),
    BeforeValidator(not_bytes),
    AfterValidator(_not_blank),
]
Weight = Annotated[
    float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False), BeforeValidator(not_bool)
]


class WeightedPrompt(FromWire):
    """One text of a blend. Only the ratios of the weights count."""

    text: Prompt
    weight: Weight = 1.0


class Interpolation(FromWire):
    """How what lies between two prompts is found: along a line, or along an arc."""

    method: Method


def _some_weight(prompts: tuple[WeightedPrompt, ...]) -> tuple[WeightedPrompt, ...]:
    if not any(prompt.weight for prompt in prompts):
        raise ValueError("at least one text must weigh more than 0")
    return prompts


def _with_prompt(
    prompts: tuple[WeightedPrompt, ...] | None, info: ValidationInfo
) -> tuple[WeightedPrompt, ...] | None:
    if prompts is None or "prompt" not in info.data:  # a bad prompt is an error of its own
        return prompts
    if info.data["prompt"] is None:
        raise ValueError("must come with `prompt`, the heaviest text, for those who cannot blend")
    if info.data["prompt"] not in [prompt.text for prompt in prompts]:
        raise ValueError("must have `prompt` among its texts (the heaviest of them, best)")
    return prompts


def _for_these(blend: Interpolation | None, info: ValidationInfo) -> Interpolation | None:
    if blend is None or "prompts" not in info.data:
        return blend
    prompts = info.data["prompts"]
    if prompts is None:
        raise ValueError("must come with the `prompts` that it is for")
    if blend.method == "slerp" and len(prompts) != 2:
        raise ValueError(f"slerp is for exactly two prompts, not {len(prompts)}: use linear")
    return blend


Prompts = Annotated[
    Annotated[
        tuple[WeightedPrompt, ...],
        Field(max_length=MAX_BLENDED),
        AfterValidator(_some_weight),
    ]
    | None,
    AfterValidator(_with_prompt),
]
"""Of a map whose `prompt` was read before them."""
BlendMethod = Annotated[Interpolation | None, AfterValidator(_for_these)]
"""Of a map whose `prompts` were read before it."""


@dataclass(frozen=True, slots=True)
class Blend:
    """What is shown, in the form by which it is compared: equal ones look the same.

    Attributes:
        parts: texts with their weights, which are above 0 and sum to 1; no text twice, in the
            order of the alphabet.
        method: linear unless there are two parts.
    """

    parts: tuple[tuple[str, float], ...]
    method: Method = "linear"

    @property
    def text(self) -> str:
        """The text that weighs the most."""
        return self._by_weight()[0][0]

    @property
    def is_mixed(self) -> bool:
        """Whether it is more than one text."""
        return len(self.parts) > 1

    def __str__(self) -> str:
        """For a person: the texts, and of several their shares."""
        if not self.is_mixed:
            return self.text
        return " + ".join(f"{text} ({weight:.0%})" for text, weight in self._by_weight())

    def _by_weight(self) -> list[tuple[str, float]]:
        return sorted(self.parts, key=lambda part: -part[1])


def blend_of(
    prompt: str,
    prompts: tuple[WeightedPrompt, ...] | None = None,
    blend: Interpolation | None = None,
) -> Blend:
    """What these keys of one map ask for; without `prompts`, the prompt alone."""
    if prompts is None:
        return Blend(((prompt, 1.0),))
    weights: dict[str, float] = {}
    for each in prompts:
        weights[each.text] = weights.get(each.text, 0.0) + each.weight
    total = sum(weights.values())
    parts = tuple((text, weight / total) for text, weight in sorted(weights.items()) if weight)
    return Blend(parts, blend.method if blend is not None and len(parts) == 2 else "linear")
