"""Low-rank branches beside linear layers, whose strengths can change from pass to pass.

The strengths are tensors that stay at their addresses, so neither a compiled layer nor a recorded
block has to be made anew when they change. Knows no file and no adapter's names of layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST = 2.0
"""The greatest strength of an adapter; 1 is what it was trained for."""


class Strengths:
    """How strong each adapter is in the passes that follow.

    Attributes:
        names: of the adapters; `usual` are the strengths of streams that say nothing.
        in_force: strengths, one an adapter.
        touch_text: whether text keys and values depend on them.
    """

    def __init__(
        self,
        names: Sequence[str],
        usual: Sequence[float],
        device: torch.device,
        dtype: torch.dtype,
        *,
        touch_text: bool,
    ) -> None:
        """Start with the usual ones in force."""
        self.names, self.usual = tuple(names), tuple(map(float, usual))
        self.in_force = self.usual
        self.touch_text = touch_text
        self._device, self._dtype = device, dtype
        self._gains: dict[tuple[int, ...], Tensor] = {}

    def of(self, given: Mapping[str, float]) -> tuple[float, ...]:
        """One an adapter: as given, else as usual.

        Raises:
            ValueError: a name is none of theirs, or a strength out of range.
        """
        unknown = given.keys() - set(self.names)
        if unknown:
            raise ValueError(
                f"loras: there is no {min(unknown)!r} here, only {', '.join(self.names)}"
            )
        for name, strength in given.items():
            if not 0 <= strength <= MOST:
                raise ValueError(f"loras: {name} must be 0 to {MOST:g}, got {strength}")
        return tuple(
            float(given.get(name, usual))
            for name, usual in zip(self.names, self.usual, strict=True)
        )

    def gains(self, owners: tuple[int, ...]) -> Tensor:
        """The strengths in force of a branch's directions [rank], each of the adapter it is of."""
        if owners not in self._gains:
            self._gains[owners] = self._of(owners).to(self._device, self._dtype)
        return self._gains[owners]

    def use(self, strengths: tuple[float, ...]) -> None:
        """Put other strengths in force, for all device work that is asked for from now on."""
        if strengths == self.in_force:
            return
        self.in_force = strengths
        for owners, gains in self._gains.items():
            gains.copy_(self._of(owners), non_blocking=True)

    def _of(self, owners: tuple[int, ...]) -> Tensor:
        return torch.tensor([self.in_force[owner] for owner in owners])


class Branch(nn.Module):
    """A linear layer, or several fused into one, with what adapters add to it.

    Of several fused layers each has directions of its own, which lie one after another.
    """

    down: Tensor
    gains: Tensor

    def __init__(self, base: nn.Module, down: Tensor, ups: Sequence[Tensor], gains: Tensor) -> None:
        """Put a branch beside `base`, which may be quantised.

        Args:
            down: [rank, inputs]; `ups`: of each fused layer, [outputs, rank].
            gains: [rank], written to by others between passes.
        """
        super().__init__()
        self.base = base
        self.register_buffer("down", down, persistent=False)
        self.register_buffer("gains", gains, persistent=False)
        self.ranks = [up.shape[1] for up in ups]
        self.up_names = tuple(f"up_{index}" for index in range(len(ups)))
        for name, up in zip(self.up_names, ups, strict=True):
            self.register_buffer(name, up, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] to [..., outputs]."""
        made: Tensor = self.base(x)
        directions = (F.linear(x, self.down) * self.gains).flatten(0, -2)
        parts = torch.split(directions, self.ranks, dim=-1)
        ups = [getattr(self, name) for name in self.up_names]
        flat = made.flatten(0, -2)
        if len(ups) == 1:
            return torch.addmm(flat, parts[0], ups[0].T).view_as(made)
        added = [part @ up.T for part, up in zip(parts, ups, strict=True)]
        return (flat + torch.cat(added, dim=-1)).view_as(made)
