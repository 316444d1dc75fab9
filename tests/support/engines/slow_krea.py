"""Krea's session loop written plainly: no KV cache, no streaming VAE, everything recomputed.

Every denoise pass is one whole forward of diffusers' own transformer over context and block, under
a mask; every decode starts at the stream's first latent. Shares no code with the engine's loop.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class MaskedAttention:
    """An attention processor of diffusers' Wan layers: one explicit softmax under a mask [L, S]."""

    mask: Tensor

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        k = attn.norm_k(attn.to_k(source)).unflatten(2, (attn.heads, -1))
        v = attn.to_v(source).unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            q, k = (self._turn(x, *rotary_emb) for x in (q, k))
        scores = torch.einsum("blhd,bshd->bhls", q, k) / math.sqrt(q.shape[-1]) + self.mask
        out = torch.einsum("bhls,bshd->blhd", scores.softmax(-1), v)
        made: Tensor = attn.to_out[0](out.flatten(2))
        return made

    @staticmethod
    def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        turn = torch.complex(cos[..., ::2].contiguous(), sin[..., ::2].contiguous())
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * turn).flatten(-2)


def sigma_of(timestep: float, shift: float = 5.0) -> float:
    """The noise level nearest to a timestep in the table of 1000."""
    levels = [shift * u / (1 + (shift - 1) * u) for u in (1 - i / 1000 for i in range(1000))]
    return min(levels, key=lambda sigma: abs(1000 * sigma - timestep))


@dataclass
class SlowKrea:
    """One stream. `run` gives each block's latents [3, 16, h, w] and frames [T, 3, H, W]."""

    model: Any  # a WanTransformer3DModel; diffusers' own types are partial
    vae: Any  # an AutoencoderKLWan
    timesteps: list[float]
    window: int = 3
    keep_first: bool = False
    bias: float = 1.0
    current_prompt_in_context: bool = False

    @torch.no_grad()
    def run(
        self,
        noise: list[Tensor],
        prompts: list[Tensor],
        start: list[Tensor] | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Make one block for each entry of noise ([draws, 3, 16, h, w]) and prompts ([512, D])."""
        made: list[Tensor] = []
        before = list(start or [])
        frames: list[Tensor] = []
        for index, (draws, prompt) in enumerate(zip(noise, prompts, strict=True)):
            latents = before + [latent for block in made for latent in block]
            context = self._context(latents, frames, index)
            clean_prompt = prompt if self.current_prompt_in_context else prompts[max(index - 1, 0)]
            made.append(self._block(draws, context, prompt, clean_prompt))
            decoded = self._decode(torch.cat(made))
            frames = list(decoded)
        counts = [9 + 12 * i for i in range(len(made))]
        blocks = [decoded[a:b] for a, b in zip([3, *counts], counts, strict=False)]
        return made, blocks

    def _context(self, latents: list[Tensor], frames: list[Tensor], index: int) -> list[Tensor]:
        if not latents:
            return []
        tail = latents[1:][-(self.window - 1) :] if self.window > 1 else []
        if self.keep_first or 3 * (index - 1) < self.window:
            return [latents[0], *tail]
        still = frames[-(1 + 4 * (self.window - 1))]
        return [self._encode(still[None])[0], *tail]

    def _block(
        self, draws: Tensor, context: list[Tensor], prompt: Tensor, clean_prompt: Tensor
    ) -> Tensor:
        x = draws[0]
        for k, timestep in enumerate(self.timesteps):
            flow = self._forward(context, x, timestep, prompt, clean_prompt)
            clean = x - sigma_of(timestep) * flow
            if k + 1 < len(self.timesteps):
                sigma = sigma_of(self.timesteps[k + 1])
                x = (1 - sigma) * clean + sigma * draws[k + 1]
        return clean

    def _forward(
        self, context: list[Tensor], x: Tensor, timestep: float, prompt: Tensor, clean: Tensor
    ) -> Tensor:
        sequence = torch.cat([torch.stack(context), x]) if context else x
        count = len(context)
        tokens = x.shape[2] * x.shape[3] // 4
        frame = torch.arange(sequence.shape[0]).repeat_interleave(tokens)
        group = torch.where(frame < count, frame // 3, 1000)
        mask = torch.zeros(len(frame), len(frame))
        mask[group[:, None] < group[None, :]] = -torch.inf
        past = (frame >= 1) & (frame < count)
        mask[(frame >= count)[:, None] & past[None, :]] = math.log(self.bias)
        length = prompt.shape[0]
        texts = torch.zeros(len(frame), 2 * length)
        texts[frame < count, length:] = -torch.inf
        texts[frame >= count, :length] = -torch.inf
        for block in self.model.blocks:
            for attn, allowed in ((block.attn1, mask), (block.attn2, texts)):
                attn.processor = MaskedAttention()
                attn.processor.mask = allowed
        out = self.model(
            hidden_states=sequence.movedim(1, 0)[None],
            timestep=torch.where(frame < count, 0.0, timestep)[None],
            encoder_hidden_states=torch.cat([clean, prompt])[None],
            return_dict=False,
        )[0]
        flow: Tensor = out[0].movedim(0, 1)[count:]
        return flow

    def _scale(self) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        mean, std = (torch.tensor(values) for values in (config.latents_mean, config.latents_std))
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)

    def _encode(self, frames: Tensor) -> Tensor:
        mean, std = self._scale()
        latent: Tensor = self.vae.encode(frames.movedim(1, 0)[None]).latent_dist.mode()
        return ((latent - mean) / std)[0].movedim(0, 1)

    def _decode(self, latents: Tensor) -> Tensor:
        mean, std = self._scale()
        z = latents.movedim(1, 0)[None] * std + mean
        decoded: Tensor = self.vae.decode(z).sample
        return decoded[0].movedim(0, 1)
