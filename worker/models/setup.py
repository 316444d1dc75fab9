"""How a model is to be run, as the operator says it. Plain values: loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

DecoderName = Literal["wan", "taehv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSetup:
    """Settings of the backends that run a model.

    Attributes:
        preset: the model; empty leaves it to the backend.
        device: `auto` takes a GPU if there is one; else as torch calls it, such as `cuda:1`.
        dtype: of the transformer: `auto` is bfloat16 on a GPU and float32 on a CPU.
        skip_zero: leave out the pass at timestep 0, a fifth of the work of four steps.
        context_every: compute the context anew before every n-th block only.
        sink_frames: how many of a stream's first latent frames stay in its context for ever; 0
            leaves it to the preset.
        batch_steps: denoise live input a step a lane, all in one batch: more frames a second, each
            of them later by a block a step but one; so many blocks of a stream's end never come.
        warm_sizes: what is warmed up before it listens, as 832x480,480x832; empty is the
            preset's own size.
        warm_on_demand: other sizes are compiled when they first come, while others wait; without
            it they are served uncompiled.
    """

    preset: str = ""
    device: str = "auto"
    dtype: str = "auto"
    decoder: DecoderName = "wan"
    attention: str = "sdpa"
    compile: bool = False
    fp8: bool = False
    fuse_qkv: bool = False
    cuda_graph: bool = False
    skip_zero: bool = False
    context_every: int = 1
    sink_frames: int = 0
    batch_steps: bool = False
    warm_sizes: str = ""
    warm_on_demand: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model can be run with."""
        if self.decoder not in get_args(DecoderName):
            raise ValueError(f"decoder {self.decoder!r}: choose one of wan, taehv")
        if self.context_every < 1:
            raise ValueError(f"context_every must be at least 1, not {self.context_every}")
        if self.sink_frames < 0:
            raise ValueError(f"sink_frames must be at least 0, not {self.sink_frames}")
        self.sizes((16, 16))

    def sizes(self, default: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The sizes to warm up, each (width, height).

        Raises:
            ValueError: one isn't of the form WIDTHxHEIGHT.
        """
        if not self.warm_sizes:
            return (default,)
        return tuple(parse_size(text) for text in self.warm_sizes.split(","))


def parse_size(text: str) -> tuple[int, int]:
    """`832x480` as (832, 480).

    Raises:
        ValueError: it isn't of that form, or no size that can be made.
    """
    width, _, height = text.strip().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"size {text!r}: expected WIDTHxHEIGHT, such as 832x480")
    if int(width) % 16 or int(height) % 16 or not int(width) or not int(height):
        raise ValueError(f"size {text!r}: width and height must be multiples of 16")
    return int(width), int(height)
