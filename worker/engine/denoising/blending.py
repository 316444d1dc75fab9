"""Prompt embeds of several texts at once, and those between two.

Row by row (a row is a token's place), in float32; what comes out has the dtype of what went in.
Rows of zeros, which follow a text's last token, take part as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import Blend, Method, PromptEncoder

_TEXTS_KEPT = 8
_PARALLEL = 1e-3
"""The sine of an angle below which an arc is a line."""


def linear_blend(embeds: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum, each row brought to the weighted mean of its rows' lengths.

    Args:
        embeds: [L, D] each.
        weights: as many, which sum to 1.

    Returns:
        [L, D]. Rows that cancel each other out stay zero.
    """
    pairs = list(zip(embeds, weights, strict=True))
    total = torch.stack([weight * each.float() for each, weight in pairs]).sum(0)
    wanted = torch.stack([weight * _lengths(each) for each, weight in pairs]).sum(0)
    lengths = _lengths(total)
    scale = torch.where(lengths > 0, wanted / lengths.clamp(min=torch.finfo().tiny), 0.0)
    return (total * scale).to(embeds[0].dtype)


def slerp(one: Tensor, other: Tensor, part: float) -> Tensor:
    """Embeds [L, D] `part` of the way (0 to 1) along the arc from `one` to `other`.

    Directions after Shoemake, "Animating rotation with quaternion curves" (1985); lengths linearly.
    Where two rows are parallel, opposed or zero there is no one arc, and the way is a line. At 0
    and 1 these are the very tensors that were given.
    """
    if part <= 0 or part >= 1:
        return one if part <= 0 else other
    start, end = one.float(), other.float()
    lengths = _lengths(start), _lengths(end)
    cosine = (start * end).sum(-1, keepdim=True) / (lengths[0] * lengths[1])
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    first = torch.sin((1 - part) * angle) / sine / lengths[0]
    second = torch.sin(part * angle) / sine / lengths[1]
    arc = (first * start + second * end) * torch.lerp(*lengths, part)
    line = torch.lerp(start, end, part)
    return torch.where(sine > _PARALLEL, arc, line).to(one.dtype)  # nan is not above


def between(one: Tensor, other: Tensor, part: float, method: Method) -> Tensor:
    """Embeds [L, D] on the way from `one` to `other`: straight, or by `slerp`."""
    if method == "slerp":
        return slerp(one, other, part)
    return torch.lerp(one.float(), other.float(), part).to(other.dtype)


class PromptBlender:
    """Prompts to prompt embeds, for one stream.

    The texts that were blended last are kept, so that other weights of them encode nothing.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        """Encode with `encoder`."""
        self._encoder = encoder
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def embeds(self, prompt: str | Blend | Tensor) -> Tensor:
        """[L, text_dim] of a text, of several, or of embeds as they are."""
        if isinstance(prompt, Tensor):
            return prompt
        if isinstance(prompt, str):
            return self._kept[prompt] if prompt in self._kept else self._encoder.encode(prompt)
        embeds = [self._embeds_to_keep(text) for text, _ in prompt.parts]
        weights = [weight for _, weight in prompt.parts]
        if prompt.method == "slerp":
            one, other = embeds
            return slerp(one, other, weights[1])
        return linear_blend(embeds, weights)

    def _embeds_to_keep(self, text: str) -> Tensor:
        if text not in self._kept:
            self._kept[text] = self._encoder.encode(text)
        self._kept.move_to_end(text)
        while len(self._kept) > _TEXTS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[text]


def _lengths(embeds: Tensor) -> Tensor:
    """Of each row: [L, 1]."""
    lengths: Tensor = torch.linalg.vector_norm(embeds.float(), dim=-1, keepdim=True)
    return lengths
