"""The transformer's forward pass for training: whole contexts and noisy blocks at once.

Owns the arrangement: rows of three latent frames, of which some are clean contexts, some noisy
blocks that see one of them, and some first blocks that see only themselves. The layers are the
same diffusers modules that the engine runs, and the results equal the engine's (a test compares).
Attention is in dense groups: a mask would cost a third of a step.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.nn import functional as F

from framewire.worker.engine.network.rope import rope_table

FRAMES = 3


@dataclass(frozen=True)
class Rows:
    """How many rows there are of each kind, in this order in a batch.

    Attributes:
        contexts: clean contexts, at positions 0-2.
        draws: noisy blocks of every context, at positions 3-5: context i has rows
            contexts + i * draws and the following.
        firsts: first blocks of streams, at positions 0-2.
    """

    contexts: int
    draws: int
    firsts: int

    @property
    def own(self) -> int:
        """How many of the first blocks the model makes the input of: the last half."""
        return self.firsts // 2

    @property
    def later(self) -> int:
        """How many noisy rows see a context."""
        return self.contexts * self.draws


class TrainingForward(nn.Module):
    """The forward pass of a `WanTransformer3DModel` on rows; holds no weights of its own."""

    rope: Tensor

    def __init__(self, model: WanTransformer3DModel, rows: Rows, height: int, width: int) -> None:
        """For latents of a size in cells.

        Args:
            model: whose layers are run; trained through this.
        """
        super().__init__()
        self.model = cast(Any, model)  # diffusers' own types are partial
        self.rows = rows
        head_dim = self.model.config.attention_head_dim
        rope = rope_table(head_dim, 2 * FRAMES, height // 2, width // 2)
        early, late = (_by_pair(*rope.at(first, FRAMES)) for first in (0, FRAMES))
        counts = (rows.contexts, rows.later, rows.firsts)
        tables = [t for t, n in zip((early, late, early), counts, strict=True) for _ in range(n)]
        self.register_buffer("rope", torch.stack(tables, 1)[:, :, :, None], persistent=False)

    def forward(self, x: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """Predict the flow of every row.

        Args:
            x: latents [R, 3, C, h, w].
            timesteps: [R], 0-1000.
            text: prompt embeds [R, L, text_dim].

        Returns:
            [R, 3, C, h, w], float32; a context's is of no use.
        """
        model = self.model
        half = model.config.freq_dim // 2
        places = torch.arange(half, dtype=torch.float32)
        angles = timesteps[:, None] * 10000.0 ** -(places / half)
        embedder = model.condition_embedder
        embedding = embedder.time_embedder(torch.cat([angles.cos(), angles.sin()], -1))  # [R, dim]
        projection = embedder.time_proj(F.silu(embedding)).unflatten(-1, (6, -1)).float()
        text = embedder.text_embedder(text)
        rows, frames, channels, height, width = x.shape
        cells = x.reshape(rows, frames, channels, height // 2, 2, width // 2, 2)
        patches = cells.permute(0, 1, 3, 5, 2, 4, 6)
        conv = model.patch_embedding
        hidden = F.linear(patches.flatten(4).flatten(1, 3), conv.weight.flatten(1), conv.bias)
        for block in model.blocks:
            hidden = layer(block, hidden, projection, self.rope, text, self.rows)
        table = model.scale_shift_table + embedding[:, None].float()  # [R, 2, dim]
        out: Tensor = model.proj_out(_modulated(hidden, table[:, :1], table[:, 1:])).float()
        out = out.view(rows, frames, height // 2, width // 2, 2, 2, -1)
        return out.permute(0, 1, 6, 2, 4, 3, 5).reshape(x.shape)


def layer(
    block: Any, x: Tensor, projection: Tensor, rope: Tensor, text: Tensor, rows: Rows
) -> Tensor:
    """One layer on tokens x [R, N, dim]."""
    table = block.scale_shift_table + projection  # [R, 6, dim]
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.split(1, dim=1)
    attn = block.attn1
    h = _modulated(x, shift, scale)
    q = _rotated(_heads(_normed(attn.to_q(h), attn.norm_q), attn), rope)
    k = _rotated(_heads(_normed(attn.to_k(h), attn.norm_k), attn), rope)
    v = _heads(attn.to_v(h), attn)
    x = x + attn.to_out[0](_grouped_attention(q, k, v, rows)) * gate

    attn = block.attn2
    h = F.layer_norm(x, x.shape[-1:], block.norm2.weight, block.norm2.bias, 1e-6)
    q = _heads(_normed(attn.to_q(h), attn.norm_q), attn)
    k = _heads(_normed(attn.to_k(text), attn.norm_k), attn)
    v = _heads(attn.to_v(text), attn)
    x = x + attn.to_out[0](_attention(q, k, v))

    h = F.gelu(block.ffn.net[0].proj(_modulated(x, ffn_shift, ffn_scale)), approximate="tanh")
    x = x + block.ffn.net[2](h) * ffn_gate
    return x


def _grouped_attention(q: Tensor, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
    """Contexts and first blocks see themselves, later blocks their context too: [R, N, dim]."""
    c, later = rows.contexts, rows.contexts + rows.later
    parts = []
    if rows.contexts:
        parts.append(_attention(q[:c], k[:c], v[:c]))
        seen = [torch.cat([y[:c].repeat_interleave(rows.draws, 0), y[c:later]], 1) for y in (k, v)]
        parts.append(_attention(q[c:later], *seen))
    if rows.firsts:
        parts.append(_attention(q[later:], k[later:], v[later:]))
    return torch.cat(parts)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[R, N, H, D] each to [R, N, H * D]. Plain products: on a CPU three times as fast as SDPA."""
    q, k, v = (y.transpose(1, 2) for y in (q * q.shape[-1] ** -0.5, k, v))
    weights = (q @ k.transpose(-1, -2)).float().softmax(-1).type_as(v)
    return (weights @ v).transpose(1, 2).flatten(2)


def _heads(x: Tensor, attn: Any) -> Tensor:
    return x.view(*x.shape[:-1], attn.heads, -1)


def _normed(x: Tensor, norm: Any) -> Tensor:
    """RMS norm in float32, as the engine's."""
    y = x.float()
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)
    weight: Tensor = norm.weight
    return (y * weight).type_as(x)


def _by_pair(cos: Tensor, sin: Tensor) -> Tensor:
    """The engine's tables, which hold every pair's angle twice, as one [2, N, D / 2]."""
    return torch.stack([cos[:, ::2], sin[:, 1::2]])


def _rotated(x: Tensor, rope: Tensor) -> Tensor:
    """Rotate the channel pairs of x [R, N, H, D] by the angles in rope [2, R, N, 1, D / 2]."""
    even, odd = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    cos, sin = rope.unbind(0)
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).type_as(x)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
