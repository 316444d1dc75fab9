"""Sequence parallelism with two exchanges a layer, after DeepSpeed-Ulysses (arXiv 2309.14509).

Outside of attention each rank has its share of the tokens with all heads, inside it all tokens with
its share of the heads, so that keys and values stay where they were written. The exchanges are
operations of their own, which a compiler leaves alone and the meta device can count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@torch.library.custom_op("framewire::all_to_all", mutates_args=())
def all_to_all(parts: Tensor) -> Tensor:
    """Give rank r the r-th of `parts` [ranks, ...]; what came from each rank, [ranks, ...]."""
    came = torch.empty_like(parts)
    dist.all_to_all_single(came, parts)
    return came


@all_to_all.register_fake
def _(parts: Tensor) -> Tensor:
    return torch.empty_like(parts)


@torch.library.custom_op("framewire::all_gather", mutates_args=())
def all_gather(part: Tensor, ranks: int) -> Tensor:
    """Everyone's `part`, [ranks, ...]."""
    whole = part.new_empty(ranks, *part.shape)
    dist.all_gather(list(whole.unbind()), part)
    return whole


@all_gather.register_fake
def _(part: Tensor, ranks: int) -> Tensor:
    return part.new_empty(ranks, *part.shape)


@dataclass(frozen=True)
class Shard:
    """One rank's share of a pass; all of it where there is one rank.

    Attributes:
        ranks: how many there are; the number of heads is a multiple of it.
        tokens: of the whole pass; where `ranks` does not divide them, the last rank's are padded.
    """

    rank: int
    ranks: int
    tokens: int

    @property
    def share(self) -> int:
        """Tokens a rank, padding included."""
        return -(-self.tokens // self.ranks)

    def own(self, x: Tensor) -> Tensor:
        """The rank's tokens of x [..., tokens, C]: [..., share, C]."""
        if self.ranks == 1:
            return x
        first = self.rank * self.share
        return self._padded(x[..., first : first + self.share, :], self.share)

    def to_heads(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """From own tokens, each [B, share, H, D], to own heads, each [B, tokens, H / ranks, D]."""
        if self.ranks == 1:
            return parts
        x = torch.stack(parts)  # [P, B, share, H, D]
        split = (*x.shape[:3], self.ranks, x.shape[3] // self.ranks, x.shape[4])
        x = x.view(split).movedim(3, 0).contiguous()
        x = all_to_all(x)  # [ranks, P, B, share, H / ranks, D], the tokens of each rank
        x = x.movedim(0, 2).flatten(2, 3)
        return tuple(x[:, :, : self.tokens].unbind())

    def to_tokens(self, x: Tensor) -> Tensor:
        """From own heads [B, tokens, H / ranks, D] to own tokens [B, share, H, D]."""
        if self.ranks == 1:
            return x
        batch, _, heads, head_dim = x.shape
        x = self._padded(x.flatten(2), self.share * self.ranks)
        x = x.view(batch, self.ranks, self.share, heads, head_dim).movedim(1, 0)
        x = all_to_all(x.contiguous())
        return x.movedim(0, 2).flatten(2, 3)  # [B, share, ranks * (H / ranks), D]

    def whole(self, x: Tensor) -> Tensor:
        """All tokens [B, tokens, C] of what each rank has of its own, [B, share, C]."""
        if self.ranks == 1:
            return x
        parts = all_gather(x.contiguous(), self.ranks)
        whole: Tensor = parts.movedim(0, 1).flatten(1, 2)
        return whole[:, : self.tokens]

    def _padded(self, x: Tensor, tokens: int) -> Tensor:
        missing = tokens - x.shape[-2]
        if missing:
            x = torch.cat([x, x.new_zeros(*x.shape[:-2], missing, x.shape[-1])], dim=-2)
        return x


WHOLE = Shard(0, 1, 0)
"""All of a pass, whatever its tokens."""
