"""The optimizers of both trainings, and what several processes do with their gradients.

Owns Muon (https://kellerjordan.github.io/posts/muon) on matrices, to which a convolution's kernels
are flattened, and AdamW on all else. After 100 seconds the autoencoder's loss was 1.2, and 2.2 with
AdamW alone; the transformer learned no directions without it.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Optimizers:
    """Muon and AdamW, each at its own share of one learning rate's schedule."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        rest: Iterable[nn.Parameter],
        *,
        muon_rate: float,
        adam_rate: float,
        warm_up: int,
    ) -> None:
        """For parameters of at least two axes, and for all others.

        Args:
            warm_up: steps up to the full rate.
        """
        self._matrices = list(matrices)
        self._flat = [nn.Parameter(p.detach().flatten(1)) for p in self._matrices]
        self._rest = list(rest)
        self._optimizers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(self._flat, lr=1.0, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(self._rest, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self._rates, self._warm_up = (muon_rate, adam_rate), warm_up

    def step(self, loss: Tensor, done: int, steps: int) -> None:
        """Learn from a loss, as step `done` of so many: warmed up, then down along a cosine."""
        parameters = self._matrices + self._rest
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if dist.is_initialized():
            _average(gradients)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for flat, parameter in zip(self._flat, self._matrices, strict=True):
            flat.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        warmed = min(1.0, (done + 1) / self._warm_up)
        part = warmed * (0.5 + 0.5 * math.cos(math.pi * done / steps)) + 0.003
        for optimizer, rate in zip(self._optimizers, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * part
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What has to be saved to go on later."""
        return [optimizer.state_dict() for optimizer in self._optimizers]

    def load_state_dict(self, saved: list[dict[str, Any]]) -> None:
        """Go on from there."""
        for optimizer, state in zip(self._optimizers, saved, strict=True):
            optimizer.load_state_dict(state)


def _average(gradients: list[Tensor]) -> None:
    """Make every process's gradients their mean."""
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat / dist.get_world_size(), [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
