"""The options of an engine, each defined here and nowhere else: name, default, help and check.

Command line, environment and build follow. Plain values: loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .setting import check_settings, setting

DecoderName = Literal["wan", "taehv"]
SinkPositions = Literal["next", "made"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Named departures from the reference; the defaults do what it does.

    Attributes:
        attention: `sdpa`, `auto` for the best healthy kernel, or one by name.
        tune_convolutions: lay convolutions out channels last where that is faster at the preset's
            size, and let cuDNN measure its kernels for the sizes that are warmed up.
        skip_zero: leave out the pass at timestep 0, a fifth of the work of four steps.
        context_every: compute the context anew before every n-th block only; between, the keys
            of the last blocks' last passes stay, moved in time. Costs a KV cache a session.
        sink_frames: how many of a stream's first latent frames stay in its context for ever,
            however long it is; 0 leaves it to the preset.
        sink_positions: where a sink of an appended context stands in time: `next` to the frames behind
            it, however long the stream is, or where it was `made`, ever further away.
        flush_keeps: how many of the newest latent frames a flush at a new prompt leaves.
        batch_steps: run the denoising steps of live input as one batch, each on another block
            (StreamDiffusionV2). More frames a second; every frame comes as many blocks later as
            there are steps, less one, and so many blocks of a stream's end never come.
        context_prompt: the prompt embeds of a context pass in a prompt ramp, the `previous`
            block's or the `current` one's. Not to be set from outside.
        kv_attention_bias: weight in (0, 1] of context frames but the first; less than 1 lets
            errors fade. Not to be set from outside.
    """

    decoder: DecoderName = setting(
        "wan",
        "latents to pictures: the model's own, or TAEHV, softer and 25 times less work",
        choices=get_args(DecoderName),
    )
    attention: str = setting(
        "sdpa", "auto for the best kernel proven here, sdpa, cudnn, flash3, flash2 or sage"
    )
    compile: bool = setting(False, "compile the transformer's blocks, the encoder and the decoder")
    tune_convolutions: bool = setting(
        False, "give encoder and decoder the layout and kernels that are fastest here, by measuring"
    )
    fp8: bool = setting(False, "multiply in 8 bits (Ada, Hopper and later; needs torchao)")
    fuse_qkv: bool = setting(False, "project queries, keys and values in one product")
    cuda_graph: bool = setting(False, "record a block's work once and replay it")
    skip_zero: bool = setting(False, "leave out the pass at timestep 0")
    context_every: int = setting(
        1, "compute the context anew before every n-th block only", least=1
    )
    sink_frames: int = setting(
        0,
        "first latent frames that stay in the context for ever; else as many as the preset says",
        least=0,
    )
    sink_positions: SinkPositions = setting(
        "next",
        "where the sink stands in time: next to the frames behind it, or where it was made, ever "
        "further away",
        choices=get_args(SinkPositions),
    )
    flush_keeps: int = setting(
        1, "newest latent frames that a flush at a new prompt leaves, 1 or 2", least=1, most=2
    )
    batch_steps: bool = setting(
        False, "denoise live input with its steps as one batch: more frames, each of them later"
    )
    context_prompt: Literal["previous", "current"] = "previous"
    kv_attention_bias: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_settings(self)
        if not 0 < self.kv_attention_bias <= 1:
            raise ValueError(f"kv_attention_bias must be in (0, 1], got {self.kv_attention_bias}")
