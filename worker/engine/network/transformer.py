"""The causal video transformer: diffusers' Wan layers under a streaming forward.

The forward has per-frame modulation, positions that start anywhere, keys and values in a static
cache, and text keys and values that are computed once a prompt. The container and its layers are
diffusers' `WanTransformer3DModel`, so its loaders, LoRA and quantisation apply.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from torch import Tensor

from framewire.worker.engine.preset import TransformerDims

from .attention import Group, Kernel, attend, attend_rows, sdpa
from .branch import Strengths
from .kv_cache import KVCache, TextCache
from .rope import rotate
from .shard import WHOLE, Shard

_MAX_PERIOD = 10000.0
_COMPILED_SHAPES = 16
_RECOMPILE_LIMIT = 64


class Modulation(NamedTuple):
    """What the timesteps of a pass do to the layers; computed once a schedule.

    Attributes:
        embedding: float32 [B, F, dim], for the head.
        projection: float32 [B, F, 6, dim], for the blocks.
    """

    embedding: Tensor
    projection: Tensor


class Ring(NamedTuple):
    """Tokens [first, first + tokens) of a cache, the last of which the first follows."""

    first: int
    tokens: int


class Window(NamedTuple):
    """Where a pass's tokens go in the cache, and what they see; static for a compiler.

    Attributes:
        write_at: their first place; of no account where layers are told places of their own.
        per_row: instead of `groups` where the rows of a batch see different keys: an entry a row.
        ring: where tokens go round that are told a place of their own.
    """

    write_at: int
    groups: tuple[Group, ...]
    per_row: tuple[tuple[Group, ...], ...] = ()
    ring: Ring | None = None


Kind = Literal["forward", "write_context"]


class Given(NamedTuple):
    """What a pass is given; see `CausalTransformer.forward`."""

    x: Tensor
    modulation: Modulation
    rope: tuple[Tensor, Tensor]
    cache: KVCache
    text: TextCache
    window: Window
    slots: Tensor | None


class _Own(NamedTuple):
    """What is the rank's own in a pass, whatever the layer: `places` are [layers, B, tokens]."""

    shard: Shard
    cos: Tensor
    sin: Tensor
    places: Tensor | None


class CausalTransformer:
    """A Wan transformer that sees a block of frames and, through a cache, those before it."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        """Take a model that is already on its device and in its dtype.

        `kernel` is what attends, and `layer` what runs a layer; others may be put in their place
        before the first pass. `strengths` are those of live adapters, if there are any. Of several
        `ranks` this is the one numbered `rank`; each does its share of every pass.
        """
        self._model = cast(Any, model)
        self._compiled: Callable[..., Tensor] | None = None
        self._shapes: set[tuple[object, ...]] = set()
        self._may_compile = True
        self.rank, self.ranks = 0, 1
        self.kernel: Kernel = sdpa
        self.layer: Callable[..., Tensor] = block_forward
        self.strengths: Strengths | None = None
        first: Tensor = self._model.patch_embedding.weight
        self.device, self.dtype = first.device, first.dtype

    @property
    def model(self) -> WanTransformer3DModel:
        """The layers, which this runs."""
        return cast(WanTransformer3DModel, self._model)

    def new_cache(self, dims: TransformerDims, tokens: int, batch: int = 1) -> KVCache:
        """Room for the keys and values of `tokens` tokens in each of `batch` rows, of own heads."""
        return KVCache(self._own_heads(dims), tokens, self.device, self.dtype, batch)

    def new_text_cache(self, dims: TransformerDims) -> TextCache:
        """Room for the keys and values of one prompt."""
        return TextCache(dims, self.device, self.dtype)

    def _own_heads(self, dims: TransformerDims) -> TransformerDims:
        return replace(dims, heads=dims.heads // self.ranks)

    def compile(self, **options: Any) -> None:
        """Compile the repeated block; `options` go to `torch.compile`.

        Every shape is a graph of its own, shared by all layers; a steady stream has two. The
        first 16 shapes are compiled, each when it first comes; later ones run as they are.
        """
        # One code object serves all engines of a process; the default of 8 is soon used up, and
        # what exceeds it is an error under fullgraph.
        dynamo: Any = torch._dynamo.config
        dynamo.recompile_limit = max(dynamo.recompile_limit, _RECOMPILE_LIMIT)
        self._compiled = torch.compile(block_forward, fullgraph=True, dynamic=False, **options)

    def stop_compiling(self) -> None:
        """Compile no further shape, so that no stream of another size stalls the others."""
        self._may_compile = False

    def modulation(self, timesteps: Tensor) -> Modulation:
        """Embed timesteps, float [B, F], on the CPU or the model's device."""
        embedder = self._model.condition_embedder
        half = self._model.config.freq_dim // 2
        places = torch.arange(half, dtype=torch.float64, device=timesteps.device)
        angles = timesteps.double()[..., None] * _MAX_PERIOD ** -(places / half)  # [B, F, half]
        sinusoid = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.device, self.dtype)
        embedding = embedder.time_embedder(sinusoid)  # [B, F, dim]
        projection = embedder.time_proj(embedder.act_fn(embedding)).unflatten(-1, (6, -1))
        return Modulation(embedding.float(), projection.float())

    @property
    def text_strengths(self) -> tuple[float, ...]:
        """What text keys and values depend on besides the text."""
        if self.strengths is None or not self.strengths.touch_text:
            return ()
        return self.strengths.in_force

    def write_text(self, embeds: Tensor, cache: TextCache) -> None:
        """Fill `cache` with the keys and values of prompt embeds [512, text_dim].

        Where this fails midway, as it does when memory runs out, the cache is nobody's.
        """
        text = self._model.condition_embedder.text_embedder(
            embeds[None].to(self.device, self.dtype)
        )  # [1, 512, dim]
        cache.embeds = None
        for block, (k, v) in zip(self._model.blocks, cache.layers, strict=True):
            attn = block.attn2
            k.copy_(attn.norm_k(attn.to_k(text)).unflatten(-1, (attn.heads, -1)))
            v.copy_(attn.to_v(text).unflatten(-1, (attn.heads, -1)))
        cache.embeds, cache.strengths = embeds, self.text_strengths

    def forward(
        self,
        x: Tensor,
        modulation: Modulation,
        rope: tuple[Tensor, Tensor],
        cache: KVCache,
        text: TextCache,
        window: Window,
        slots: Tensor | None = None,
    ) -> Tensor:
        """Predict the flow of x, and leave its keys and values in the cache.

        Args:
            x: noisy or clean latents [B, F, C, h, w].
            rope: cosines and sines of x's tokens, each [L, head_dim] or [B, L, head_dim].
            window: where in `cache` to write, and which of it the tokens see.
            slots: instead of `window.write_at` the first place in each layer and row, int64
                [layers, B] on the model's device.

        Returns:
            The flow, [B, F, C, h, w], in the model's dtype.
        """
        given = Given(x, modulation, rope, cache, text, window, slots)
        with self._together("forward", given):
            hidden, own = self._through(given, len(cache.layers))
            return self._head(hidden, modulation.embedding, x.shape, own.shard)

    def write_context(
        self,
        x: Tensor,
        modulation: Modulation,
        rope: tuple[Tensor, Tensor],
        cache: KVCache,
        text: TextCache,
        window: Window,
        slots: Tensor | None = None,
    ) -> None:
        """Like `forward`, for the cache's sake only: the last layer stops at its keys."""
        given = Given(x, modulation, rope, cache, text, window, slots)
        with self._together("write_context", given):
            hidden, own = self._through(given, len(cache.layers) - 1)
            last = self._model.blocks[-1]
            table = _block_table(last, modulation.projection)
            _, k, v = _project(last.attn1, _modulate(last.norm1, hidden, *table[:2]))
            k, v = own.shard.to_heads(*_keys_values(last.attn1, k, v, own.cos, own.sin))
            of_last = None if own.places is None else own.places[-1]
            _write(k, v, *cache.layers[-1], window, of_last)

    def _together(self, kind: Kind, given: Given) -> AbstractContextManager[None]:
        """Entered around a pass; what else is to run it begins here."""
        return nullcontext()

    def _through(self, given: Given, count: int) -> tuple[Tensor, _Own]:
        """Tokens [B, L, dim] behind the first `count` layers, and what layers of this pass share."""
        x, window = given.x, given.window
        shard = self._shard(x, given.modulation)
        cos, sin = (shard.own(part) for part in given.rope)
        own = _Own(shard, cos, sin, _places(given.slots, shard.tokens, window))
        hidden = self._embed(x, shard)
        run = self._runner(hidden, window)
        for index in range(count):
            hidden = run(
                self._model.blocks[index],
                hidden,
                given.modulation.projection,
                cos,
                sin,
                *given.cache.layers[index],
                *given.text.layers[index],
                window,
                self.kernel,
                None if own.places is None else own.places[index],
                shard,
            )
        return hidden, own

    def _runner(self, hidden: Tensor, window: Window) -> Callable[..., Tensor]:
        if self._compiled is None:
            return self.layer
        shape = (hidden.shape, window)
        if self._may_compile and len(self._shapes) < _COMPILED_SHAPES:
            self._shapes.add(shape)
        return self._compiled if shape in self._shapes else self.layer

    def _shard(self, x: Tensor, modulation: Modulation) -> Shard:
        """This rank's share of a pass over x [B, F, C, h, w]."""
        if self.ranks > 1 and modulation.projection.shape[1] > 1:
            raise ValueError("several ranks take passes of one timestep a row")
        tokens = x.shape[1] * (x.shape[3] // 2) * (x.shape[4] // 2)
        return Shard(self.rank, self.ranks, tokens)

    def _embed(self, x: Tensor, shard: Shard) -> Tensor:
        """Latents [B, F, C, h, w] to the shard's of their F * h/2 * w/2 tokens, [B, L, dim].

        The patches' convolution has its stride as kernel, so it is a linear map of patches.
        """
        batch, frames, channels, height, width = x.shape
        patches = x.to(self.dtype).reshape(batch, frames, channels, height // 2, 2, width // 2, 2)
        patches = patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(4)  # [B, F, h/2, w/2, C*2*2]
        conv = self._model.patch_embedding
        weight: Tensor = conv.weight
        return F.linear(shard.own(patches.flatten(1, 3)), weight.flatten(1), conv.bias)

    def _head(self, hidden: Tensor, embedding: Tensor, shape: torch.Size, shard: Shard) -> Tensor:
        """The shard's tokens to flow in the latents' `shape`."""
        model = self._model
        batch, frames, _, height, width = shape
        table = model.scale_shift_table.float()[:, None] + embedding[:, :, None]  # [B, F, 2, dim]
        shift, scale = table[:, :, :, None].unbind(2)  # [B, F, 1, dim]
        out: Tensor = model.proj_out(_modulate(model.norm_out, hidden, shift, scale))
        out = shard.whole(out).view(batch, frames, height // 2, width // 2, 2, 2, -1)
        out = out.permute(0, 1, 6, 2, 4, 3, 5)  # [B, F, C, h/2, 2, w/2, 2]
        return out.reshape(shape)


def _places(slots: Tensor | None, tokens: int, window: Window) -> Tensor | None:
    """Where each of `tokens` tokens goes in every layer and row, int64 [layers, B, tokens]."""
    if slots is None:
        return None
    places = slots[:, :, None] + torch.arange(tokens, device=slots.device)
    if window.ring is not None:
        places = window.ring.first + (places - window.ring.first) % window.ring.tokens
    return places


def block_forward(
    block: Any,
    x: Tensor,
    projection: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    text_keys: Tensor,
    text_values: Tensor,
    window: Window,
    kernel: Kernel = sdpa,
    places: Tensor | None = None,
    shard: Shard = WHOLE,
) -> Tensor:
    """One layer on tokens x [B, L, dim], writing its keys and values: [B, L, dim].

    Args:
        places: where each token's go, int64 [B, tokens], instead of where the window says.
        shard: x is its tokens, and keys and values are its heads.
    """
    table = _block_table(block, projection)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table
    attn = block.attn1
    h = _modulate(block.norm1, x, shift, scale)
    q, k, v = _project(attn, h)
    q = rotate(attn.norm_q(q).unflatten(-1, (attn.heads, -1)), cos, sin)
    q, k, v = shard.to_heads(q, *_keys_values(attn, k, v, cos, sin))
    _write(k, v, keys, values, window, places)
    if window.per_row:
        h = attend_rows(q, keys, values, window.per_row, kernel)
    else:
        h = attend(q, keys, values, window.groups, kernel)
    h = attn.to_out[0](shard.to_tokens(h).flatten(2))
    x = _add_gated(x, h, gate)

    attn = block.attn2
    h = block.norm2(x.float()).type_as(x)
    q = attn.norm_q(attn.to_q(h)).unflatten(-1, (attn.heads, -1))
    batch = x.shape[0]
    text_keys, text_values = (
        text_keys.expand(batch, -1, -1, -1),
        text_values.expand(batch, -1, -1, -1),
    )
    x = x + attn.to_out[0](attend(q, text_keys, text_values, None, kernel).flatten(2))

    h = block.ffn(_modulate(block.norm3, x, ffn_shift, ffn_scale))
    return _add_gated(x, h, ffn_gate)


def _block_table(block: Any, projection: Tensor) -> tuple[Tensor, ...]:
    """Shift, scale and gate of both halves of a layer, each float32 [B, F, 1, dim]."""
    table: Tensor = block.scale_shift_table.float() + projection  # [B, F, 6, dim]
    return table[:, :, :, None].unbind(2)


def _project(attn: Any, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of tokens h [B, L, dim], each [B, L, dim]."""
    if attn.fused_projections:
        q, k, v = attn.to_qkv(h).chunk(3, dim=-1)
        return q, k, v
    return attn.to_q(h), attn.to_k(h), attn.to_v(h)


def _keys_values(
    attn: Any, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor]:
    """Projected keys and values [B, L, dim] as a cache holds them, [B, L, heads, head_dim]."""
    k = rotate(attn.norm_k(k).unflatten(-1, (attn.heads, -1)), cos, sin)
    return k, v.view(*v.shape[:2], attn.heads, -1)


def _write(
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    window: Window,
    places: Tensor | None = None,
) -> None:
    """Put keys and values [B, L, H, D] in their places in a cache."""
    if places is not None and len(places) == 1:
        keys[:, places[0]], values[:, places[0]] = k, v
        return
    if places is not None:
        rows = torch.arange(k.shape[0], device=k.device)[:, None]
        keys[rows, places], values[rows, places] = k, v
        return
    first, last = window.write_at, window.write_at + k.shape[1]
    keys[:, first:last], values[:, first:last] = k, v


def _modulate(norm: Any, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise x [B, L, dim] and scale and shift it frame by frame, in float32."""
    h = _by_frame(norm(x.float()), shift.shape[1])
    return (h * (1 + scale) + shift).flatten(1, 2).type_as(x)


def _add_gated(x: Tensor, h: Tensor, gate: Tensor) -> Tensor:
    """x + gate * h frame by frame, in float32; x and h are [B, L, dim]."""
    gated = _by_frame(h.float(), gate.shape[1]) * gate
    return (x.float() + gated.flatten(1, 2)).type_as(x)


def _by_frame(x: Tensor, frames: int) -> Tensor:
    """Tokens [B, L, dim] as [B, frames, L / frames, dim]."""
    return x.view(x.shape[0], frames, -1, x.shape[2])
