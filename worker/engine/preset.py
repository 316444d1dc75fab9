"""What distinguishes one Wan2.1 descendant from another, as data.

The engine reads these fields; it never asks for a model's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

TEXT_TOKENS = 512
"""Length of prompt embeds of every Wan model; it attends to all of them, padding included."""
FRAMES_PER_LATENT = 4
"""Frames that one latent frame stands for, but for the first of a stream, which stands for one."""
LATENT_STRIDE = 8
"""Pixels a side that one latent cell stands for."""
PIXEL_MULTIPLE = 16
"""Widths and heights are multiples of this: 8 by the VAE times 2 by the transformer's patches."""
PromptSwitch = Literal["blend", "flush", "recache"]
"""What an appended context becomes when a new prompt has taken over: it is left, and the old prompt
goes as its frames do; dropped, but for the sink and the newest frames; or computed anew."""


@dataclass(frozen=True)
class TransformerDims:
    """Sizes of one transformer; the defaults are those that every Wan2.1 text-to-video has."""

    layers: int
    heads: int
    ffn_dim: int
    head_dim: int = 128
    text_dim: int = 4096
    text_tokens: int = TEXT_TOKENS
    freq_dim: int = 256
    channels: int = 16

    @property
    def dim(self) -> int:
        """Width of the residual stream."""
        return self.heads * self.head_dim

    def config(self) -> dict[str, Any]:
        """The arguments of diffusers' `WanTransformer3DModel`."""
        return {
            "patch_size": (1, 2, 2),
            "num_attention_heads": self.heads,
            "attention_head_dim": self.head_dim,
            "in_channels": self.channels,
            "out_channels": self.channels,
            "text_dim": self.text_dim,
            "freq_dim": self.freq_dim,
            "ffn_dim": self.ffn_dim,
            "num_layers": self.layers,
        }

    def kv_bytes(self, tokens: int, itemsize: int = 2) -> int:
        """Bytes of the keys and values of `tokens` tokens in all layers."""
        return 2 * self.layers * tokens * self.dim * itemsize


WAN_14B = TransformerDims(layers=40, heads=40, ffn_dim=13824)
WAN_1_3B = TransformerDims(layers=30, heads=12, ffn_dim=8960)


@dataclass(frozen=True)
class MotionController:
    """How much the noise scale sinks where the input moves (StreamDiffusionV2).

    Attributes:
        gain: how far it sinks at full motion.
        memory: how much of the last block's scale stays in the next one's.
        full_motion: root mean square of the change between two pictures, in [-1, 1], that counts
            as full motion.
    """

    gain: float = 0.1
    memory: float = 0.1
    full_motion: float = 0.2


@dataclass(frozen=True)
class Preset:
    """The named parameters of one model: its shape, its loop and its defaults on the wire.

    Attributes:
        block_frames: latent frames denoised together; `first_block_frames` for a stream's first.
        context_frames: latent frames attended to besides the block's own (`kv_cache_num_frames`).
        contexts: the numbers of context frames that an operator can choose from, the shortest
            first; empty where the model was made for its own alone.
        context: what a block sees of the past, and how it gets into the KV cache. `rebuilt`: before
            each block, computed anew from clean latents. `appended`: after each block, by one more
            pass on the clean latents. `ring`: the keys of the last denoise pass stay, the newest
            in the place of the oldest.
        first_context: what stands first in a rebuilt context once the stream's first latent has
            left the window: the picture before the window, `reencode`d as a still, or nothing
            special (`window`).
        sink_frames: context frames that are never evicted; below `sink_threshold` of likeness to
            a new frame the least like of them is, in the layers that find it so.
        wrap_at: frame positions are the stream's, but at `wrap_at` set back to the cache's last;
            0: they are the cache's, so that a window starts at 0.
        first_block_steps: as many steps as a stream's first block takes at least, which has nothing
            before it to go by.
        last_step: whether `num_denoising_steps` spread steps end `at_zero` or one step `above` it.
        steps: those that `num_denoising_steps` takes the first so many of, instead of spread ones;
            `text_steps` for blocks that are made from no input.
        loader_shift: shift of the table by which a flow is turned into clean latents; the
            reference fixes it at load, whatever the session's `timestep_shift`.
        first_step_offset: a live block's first timestep is 1000 x strength less this, instead of
            the schedule's.
        strength_is_noise_level: strength is the noise level that input is mixed to, and not a place
            in the schedule before its shift (where 0.5 is a level of 0.83 at shift 5).
        normalise_input: whether encoded input is brought to the latents' mean and deviation.
        dropped_frames: frames withheld at the start of a stream, while the decoder warms up.
        follows_input: the size is the input's where none is asked for.
        prompt_switch: what an appended context becomes when a new prompt has taken over.
        recache: of the sink when a context is computed anew, once frames have left the window: it
            keeps its keys, or the oldest frames that are left become the sink.
        sections: which part of the published checkpoint holds the transformer, the best first;
            files without parts are read whole.
        adapter_section: likewise of the adapter that is a part of the model, if one is.
    """

    name: str
    dims: TransformerDims
    block_frames: int = 3
    first_block_frames: int = 3
    context_frames: int = 3
    contexts: tuple[int, ...] = ()
    context: Literal["rebuilt", "appended", "ring"] = "rebuilt"
    first_context: Literal["reencode", "window"] = "reencode"
    sink_frames: int = 0
    sink_threshold: float | None = None
    wrap_at: int = 0
    timestep_shift: float = 5.0
    loader_shift: float = 5.0
    num_denoising_steps: int = 4
    first_block_steps: int = 1
    last_step: Literal["at_zero", "above"] = "at_zero"
    steps: tuple[float, ...] | None = None
    text_steps: tuple[float, ...] | None = None
    first_step_offset: float | None = None
    strength_is_noise_level: bool = False
    motion: MotionController | None = None
    normalise_input: bool = True
    dropped_frames: int = 3
    strength: float = 0.8
    interp_steps: int = 4
    width: int = 832
    height: int = 480
    follows_input: bool = False
    prompt_switch: PromptSwitch = "blend"
    recache: Literal["keep_sink", "new_sink"] = "keep_sink"
    sections: tuple[str, ...] = ()
    adapter_section: str = ""
    vae: dict[str, Any] = field(default_factory=dict)

    def with_dims(self, name: str, dims: TransformerDims, **changes: Any) -> Preset:
        """The same loop around another transformer, such as a tiny one for tests."""
        return replace(self, name=name, dims=dims, **changes)

    def with_context(self, frames: int) -> Preset:
        """The same model with as many context frames; 0 leaves it as it is.

        Raises:
            ValueError: that is none of its `contexts`.
        """
        if frames in (0, self.context_frames):
            return self
        if not self.contexts:
            raise ValueError(
                f"context {frames}: {self.name} was made for {self.context_frames} latent frames "
                "of context and is served with no other"
            )
        if frames not in self.contexts:
            sizes = ", ".join(map(str, self.contexts))
            hint = f"choose one of {sizes}"
            if frames - self.block_frames in self.contexts:
                hint += f" ({frames} is {frames - self.block_frames} with a block's own)"
            raise ValueError(f"context {frames}: {self.name} is served with other sizes: {hint}")
        return replace(self, context_frames=frames)

    @property
    def first_pictures(self) -> int:
        """Pictures that a stream's first block becomes, but for those that are withheld."""
        return 1 + FRAMES_PER_LATENT * (self.first_block_frames - 1) - self.dropped_frames

    def frames_of(self, block: int) -> int:
        """Latent frames of a stream's block, counted from 0."""
        return self.block_frames if block else self.first_block_frames


KREA_REALTIME_14B = Preset(name="krea-realtime-14b", dims=WAN_14B)
SELF_FORCING_1_3B = Preset(
    name="self-forcing-1.3b",
    dims=WAN_1_3B,
    context_frames=18,
    contexts=(6, 9, 18),
    context="appended",
    last_step="above",
    dropped_frames=0,
    interp_steps=1,
    sections=("generator_ema",),
)
"""Text to video; 21 frames of cache with the block's own. The reference ends where it is full;
here the window rolls on."""
LONGLIVE_1_3B = replace(
    SELF_FORCING_1_3B,
    name="longlive-1.3b",
    context_frames=9,
    contexts=(),
    sink_frames=3,
    prompt_switch="recache",
    sections=("generator",),
    adapter_section="generator_lora",
)
"""Text to video without end, and prompts that change on the way: 3 frames of sink, 6 before a block."""
CAUSAL_FORCING_1_3B = replace(
    SELF_FORCING_1_3B, name="causal-forcing-1.3b", sections=("generator",)
)
"""Self-Forcing's loop with weights of another training."""
CAUSAL_FORCING_FRAMEWISE_1_3B = replace(
    SELF_FORCING_1_3B,
    name="causal-forcing-framewise-1.3b",
    block_frames=1,
    first_block_frames=1,
    context_frames=20,
    contexts=(),
)
"""A block is one latent frame: the first one a single picture, each later one four."""
CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B = replace(
    CAUSAL_FORCING_FRAMEWISE_1_3B,
    name="causal-forcing-framewise-2step-1.3b",
    num_denoising_steps=2,
    first_block_steps=4,
)
CAUSAL_FORCING_FRAMEWISE_1STEP_1_3B = replace(
    CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B,
    name="causal-forcing-framewise-1step-1.3b",
    num_denoising_steps=1,
)
"""The least delay: one pass a block, and one more to remember it."""
STREAMDIFFUSIONV2_1_3B = Preset(
    name="streamdiffusionv2-1.3b",
    dims=WAN_1_3B,
    block_frames=1,
    first_block_frames=2,
    context_frames=5,
    context="ring",
    sink_frames=3,
    sink_threshold=0.2,
    wrap_at=50,
    timestep_shift=8.0,
    loader_shift=8.0,
    num_denoising_steps=2,
    steps=(700.0, 500.0, 400.0, 200.0),
    text_steps=(1000.0, 750.0, 500.0, 250.0, 0.0),
    first_step_offset=100.0,
    motion=MotionController(),
    normalise_input=False,
    dropped_frames=0,
    interp_steps=1,
    follows_input=True,
    sections=("generator", "generator_ema", "state_dict"),
)
"""Live video to video, and text to video where no picture comes."""
PRESETS = {
    preset.name: preset
    for preset in (
        KREA_REALTIME_14B,
        SELF_FORCING_1_3B,
        LONGLIVE_1_3B,
        CAUSAL_FORCING_1_3B,
        CAUSAL_FORCING_FRAMEWISE_1_3B,
        CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B,
        CAUSAL_FORCING_FRAMEWISE_1STEP_1_3B,
        STREAMDIFFUSIONV2_1_3B,
    )
}
"""The published models by name."""
