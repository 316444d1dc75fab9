"""What a stream needs around the transformer, as the engine sees it.

Owns the small interfaces that `StreamingVae`, `TaehvDecoder` and `TextEncoder` fulfil, so that
another decoder, or a recording, can take their place.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

Stage = Literal["encode", "context", "denoise", "decode"]
"""Input pictures to latents; clean latents into the cache; one denoise pass; latents to frames."""

StageTimer = Callable[[Stage], AbstractContextManager[None]]


def untimed(stage: Stage) -> AbstractContextManager[None]:
    """The timer that does nothing."""
    return nullcontext()


class Decoder(Protocol):
    """Latents to frames, block by block; one state a stream."""

    def open_decoder(self) -> Any:
        """Begin a stream of latents."""
        ...

    def decode(self, z: Tensor, state: Any) -> Tensor:
        """Normalised latents [F, C, h, w] to frames [T, 3, H, W] in [-1, 1]."""
        ...


class Encoder(Protocol):
    """Frames to latents, block by block; one state a stream."""

    def open_encoder(self) -> Any:
        """Begin a stream of frames."""
        ...

    def encode(self, pixels: Tensor, state: Any, normalise: bool = True) -> Tensor:
        """Frames [T, 3, H, W] in [-1, 1] to latents [F, C, h, w]."""
        ...

    def encode_still(self, pixels: Tensor) -> Tensor:
        """One picture [3, H, W] in [-1, 1] to a normalised latent [1, C, h, w]."""
        ...


class PromptEncoder(Protocol):
    """Text to prompt embeds."""

    def encode(self, text: str) -> Tensor:
        """Prompt embeds [512, text_dim], zero after the text's last token."""
        ...


class PassTrace(Protocol):
    """Sees every pass of a stream; for tests and diagnosis, at the cost of a whole context pass."""

    def __call__(
        self, kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        """One pass: `context` or `denoise`, where it stood, what went in and what it made clean."""
        ...


def model_range(pictures: Tensor, device: torch.device) -> Tensor:
    """Pictures as float32 [T, 3, H, W] in [-1, 1] on `device`.

    Args:
        pictures: uint8 [T, H, W, 3], or floats [T, 3, H, W] that are in that range already.
    """
    if pictures.dtype == torch.uint8:
        on_device = pictures.to(device, non_blocking=True)
        return on_device.movedim(-1, 1).float().div_(127.5).sub_(1.0)
    return pictures.to(device, torch.float32, non_blocking=True)


def eight_bit(pixels: Tensor) -> Tensor:
    """Frames [T, 3, H, W] in [-1, 1] as uint8 [T, H, W, 3], fractions cut off."""
    count, channels, height, width = pixels.shape
    out = pixels.new_empty((count, height, width, channels), dtype=torch.uint8)
    # One by one: what is in between then stays in the cache, and is no block's worth of memory.
    for frame, picture in zip(pixels, out, strict=True):
        levels = ((frame.float() + 1.0) / 2.0).clamp_(0.0, 1.0).mul_(255.0)
        picture.copy_(levels.to(torch.uint8).movedim(0, -1))
    return out
