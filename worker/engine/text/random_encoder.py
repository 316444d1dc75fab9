"""A text encoder of the published size with random weights, to measure what encoding costs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from .encoder import LENGTH, TextEncoder
from .weights import UMT5_XXL

_END = 1


def random_text_encoder(
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int = 0,
    config: Mapping[str, Any] = UMT5_XXL,
) -> TextEncoder:
    """A `TextEncoder` whose every word is one token.

    Args:
        config: arguments of `UMT5Config`.
    """
    with torch.device("meta"):
        model = cast(nn.Module, UMT5EncoderModel(UMT5Config(**config)))
    nn.Module.to(model, dtype=dtype)
    model.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for name, value in model.named_parameters():
        with torch.no_grad():
            value.normal_(generator=generator).mul_(
                value[0].numel() ** -0.5 if value.ndim > 1 else 0.1
            )
            if "norm" in name:
                value.add_(1.0)
    model.tie_weights()  # type: ignore[operator]
    return TextEncoder(_Words(int(config["vocab_size"])), model)


class _Words:
    """A tokenizer of words by their checksum."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary

    def __call__(self, text: str, **options: Any) -> dict[str, Tensor]:
        ids = [2 + zlib.crc32(word.encode()) % (self._vocabulary - 2) for word in text.split()]
        return {"input_ids": torch.tensor([[*ids[: LENGTH - 1], _END]])}
