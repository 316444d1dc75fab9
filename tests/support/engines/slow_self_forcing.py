"""Self-Forcing's loop written plainly: no KV cache, every pass over all latents so far, by a mask.

Shares the explicit attention of the plain Krea loop, and no code with the engine's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from support.engines.slow_krea import MaskedAttention, sigma_of
from torch import Tensor

STEPS = (1000.0, 937.5, 2500 / 3, 625.0)


@dataclass
class SlowSelfForcing:
    """One stream. A block of three sees itself and the `window` frames before it, all clean."""

    model: Any  # a WanTransformer3DModel; diffusers' own types are partial
    window: int

    @torch.no_grad()
    def run(self, noise: list[Tensor], prompts: list[Tensor]) -> list[Tensor]:
        """Clean latents [3, 16, h, w], one for each entry of noise ([4, 3, 16, h, w])."""
        made: list[Tensor] = []
        for draws, _ in zip(noise, prompts, strict=True):
            x = draws[0]
            for k, timestep in enumerate(STEPS):
                flow = self._forward([*made, x], timestep, prompts)
                clean = x - sigma_of(timestep) * flow
                if k + 1 < len(STEPS):
                    sigma = sigma_of(STEPS[k + 1])
                    x = (1 - sigma) * clean + sigma * draws[k + 1]
            made.append(clean)
        return made

    def _forward(self, blocks: list[Tensor], timestep: float, prompts: list[Tensor]) -> Tensor:
        sequence = torch.cat(blocks)
        tokens = sequence.shape[2] * sequence.shape[3] // 4
        frame = torch.arange(sequence.shape[0]).repeat_interleave(tokens)
        block = frame // 3
        mask = torch.full((len(frame), len(frame)), -torch.inf)
        first = 3 * block[:, None] - self.window
        mask[(block[None, :] <= block[:, None]) & (frame[None, :] >= first)] = 0
        length = prompts[0].shape[0]
        texts = torch.full((len(frame), length * len(blocks)), -torch.inf)
        owner = torch.arange(len(blocks)).repeat_interleave(length)
        texts[block[:, None] == owner[None, :]] = 0
        for layer in self.model.blocks:
            for attn, allowed in ((layer.attn1, mask), (layer.attn2, texts)):
                attn.processor = MaskedAttention()
                attn.processor.mask = allowed
        last = sequence.shape[0] - blocks[-1].shape[0]
        out = self.model(
            hidden_states=sequence.movedim(1, 0)[None],
            timestep=torch.where(frame < last, 0.0, timestep)[None],
            encoder_hidden_states=torch.cat(prompts[: len(blocks)])[None],
            return_dict=False,
        )[0]
        flow: Tensor = out[0].movedim(0, 1)[last:]
        return flow
