"""What a stream needs around the transformer, as the engine sees it.

Small interfaces, so that another decoder, or a recording, can take the place of `StreamingVae`,
`TaehvDecoder` or `TextEncoder`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

from torch import Tensor

Method = Literal["linear", "slerp"]
"""How what lies between prompt embeds is found: along a line, or along an arc."""

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


class Compiled(Protocol):
    """What compiles shapes when they first come."""

    def stop_compiling(self) -> None:
        """Compile no further shape."""
        ...


class PromptEncoder(Protocol):
    """Text to prompt embeds."""

    def encode(self, text: str) -> Tensor:
        """Prompt embeds [512, text_dim], zero after the text's last token."""
        ...


class Blend(Protocol):
    """Several texts that are one prompt. Equal ones are the same prompt."""

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Texts with their weights, which sum to 1."""
        ...

    @property
    def method(self) -> Method:
        """`slerp` for two texts only."""
        ...


class PassTrace(Protocol):
    """Sees every pass of a stream; for tests and diagnosis, at the cost of a whole context pass."""

    def __call__(
        self, kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        """One pass: `context`, `recache` or `denoise`, where it stood, what went in and what it made clean."""
        ...
