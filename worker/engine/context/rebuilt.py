"""Context that is computed anew from clean latents before every block, as Krea's server does.

The KV cache is scratch, or, where the context is rebuilt only now and then, rolls in between.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.interfaces import Encoder
from framewire.worker.engine.network.attention import block_group, causal_groups
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.transformer import Window
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

from .history import History


class RebuiltContext:
    """A `Context` that remembers latents, not keys."""

    def __init__(
        self,
        preset: Preset,
        options: EngineOptions,
        params: StreamParams,
        runner: BlockRunner,
        *,
        cache: Callable[[], KVCache],
        vae: Encoder,
        start: Tensor | None,
    ) -> None:
        """Remember nothing but `start`, latents [F, C, h, w] of a start frame.

        Args:
            cache: gives the cache to use now; the scratch may have moved.
        """
        self._preset = preset
        self._options = options
        self._params = params
        self._runner = runner
        self._cache = cache
        self._vae = vae
        self._still: Tensor | None = None
        self._held = 0
        self._blocks = 0
        self._history = History(
            params.kv_cache_num_frames, preset.block_frames, keep_first=params.keep_first_frame
        )
        if start is not None:
            self._history.start_with(start)

    @property
    def early_latents(self) -> int:
        """How many leading latents of the newest block must be decoded before the next."""
        return self._history.early_latents if self._encodes_still() else 0

    def prepare(self) -> None:
        """Encode the picture that stands first in the context, where one does."""
        self._still = None
        picture = self._history.still() if self._encodes_still() else None
        if picture is not None:
            with self._runner.timer("encode"):
                still = self._vae.encode_still(picture)
                self._still = still.to(self._runner.transformer.device, torch.float32)

    def enter(self, frames: int) -> Place:
        """Bring the context into the cache; the block stands behind it."""
        context = self._fill()
        self._held = context + frames
        tokens = self._runner.rope.tokens_per_frame
        bias = self._options.kv_attention_bias
        window = Window(context * tokens, block_group(context, frames, tokens, bias))
        return Place(self._cache(), window, context)

    def leave(self, latents: Tensor) -> None:
        """Remember a block's latents."""
        self._history.add_block(latents)
        self._blocks += 1

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Remember the pictures that may stand in a context."""
        self._history.add_pictures(pictures, latents)

    def _encodes_still(self) -> bool:
        return self._preset.first_context == "reencode" and self._due()

    def _due(self) -> bool:
        """Whether the next block's context is computed anew; else the cache rolls."""
        return not self._held or (self._blocks - 1) % self._options.context_every == 0

    def _fill(self) -> int:
        """Bring the context into the cache and return its number of frames."""
        if self._history.empty:
            return 0
        with self._runner.timer("context"):
            if not self._due():
                pinned = int(self._params.keep_first_frame)
                kept = min(self._params.kv_cache_num_frames, self._held)
                self._cache().keep_last(
                    self._held, kept, pinned, self._runner.rope.tokens_per_frame
                )
                return kept
            latents = self._history.latents(self._still)
            frames = latents.shape[0]
            tokens = self._runner.rope.tokens_per_frame
            groups = causal_groups(frames, self._preset.block_frames, tokens)
            self._runner.write_context(Place(self._cache(), Window(0, groups), 0), latents)
            return frames
