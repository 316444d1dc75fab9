"""What distinguishes one Wan2.1 descendant from another, as data.

Owns the fields of a preset and the published shapes. Knows no tensor and no session: the engine
reads these fields, it never asks for a model's name.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

TEXT_TOKENS = 512
"""Length of prompt embeds of every Wan model; it attends to all of them, padding included."""
LATENT_STRIDE = 8
"""Pixels a side of one latent cell."""
PIXEL_MULTIPLE = 16
"""Widths and heights are multiples of this: 8 by the VAE times 2 by the transformer's patches."""


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
    """Lowers the noise scale where the input moves (StreamDiffusionV2)."""

    gain: float = 0.1
    memory: float = 0.1
    full_motion: float = 0.2


@dataclass(frozen=True)
class Preset:
    """The named parameters of one model: its shape, its loop and its defaults on the wire.

    Attributes:
        block_frames: latent frames denoised together; `first_block_frames` for a stream's first.
        context_frames: clean latent frames attended to, 1-12 (`kv_cache_num_frames`).
        commit: how a finished block becomes context. `rebuild`: before each block the KV cache is
            computed anew from clean latents. `append`: after each block by one more pass on the
            clean latents. `none`: the keys of the last denoise pass stay.
        first_context: what stands first in a rebuilt context once the stream's first latent has
            left the window: the picture before the window, `reencode`d as a still, or nothing
            special (`window`).
        sink_frames: context frames that are never evicted; `sink_threshold` makes them adaptive.
        position: frame positions. `window`: the context starts at 0, so they are bounded.
            `absolute`: the stream's. `wrap`: absolute, set back to `wrap_to` at `wrap_at`.
        steps: explicit timesteps, or None for `num_denoising_steps` steps spread evenly.
        warp_steps: whether explicit steps are warped by the timestep shift.
        loader_shift: shift of the table by which a flow is turned into clean latents; the
            reference fixes it at load, whatever the session's `timestep_shift`.
        first_step_offset: a live block's first timestep is 1000 x strength less this, instead of
            the schedule's.
        normalise_input: whether encoded input is brought to the latents' mean and deviation.
        dropped_frames: frames withheld at the start of a stream, while the decoder warms up.
        lanes: denoising steps that run as one batch, each on another block.
    """

    name: str
    dims: TransformerDims
    block_frames: int = 3
    first_block_frames: int = 3
    context_frames: int = 3
    commit: Literal["rebuild", "append", "none"] = "rebuild"
    first_context: Literal["reencode", "window"] = "reencode"
    sink_frames: int = 0
    sink_threshold: float | None = None
    position: Literal["window", "absolute", "wrap"] = "window"
    wrap_at: int = 0
    wrap_to: int = 0
    timestep_shift: float = 5.0
    loader_shift: float = 5.0
    num_denoising_steps: int = 4
    steps: tuple[float, ...] | None = None
    warp_steps: bool = False
    first_step_offset: float | None = None
    motion: MotionController | None = None
    normalise_input: bool = True
    dropped_frames: int = 3
    lanes: int = 1
    strength: float = 0.8
    interp_steps: int = 4
    width: int = 832
    height: int = 480
    vae: dict[str, Any] = field(default_factory=dict)

    def with_dims(self, name: str, dims: TransformerDims, **changes: Any) -> "Preset":
        """The same loop around another transformer, such as a tiny one for tests."""
        return replace(self, name=name, dims=dims, **changes)


KREA_REALTIME_14B = Preset(name="krea-realtime-14b", dims=WAN_14B)
