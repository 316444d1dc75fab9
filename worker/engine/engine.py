"""The engine of one device: shared weights, the lane's scratch memory, and streams opened on it.

Owns what sessions share. Every stream's own state is in its `Generation`. Blocks of several
streams may follow each other in any order, one at a time: the scratch is one lane's.
"""

from collections import OrderedDict

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from .context.memory import check_loop
from .denoising.noise import NoiseSource
from .generation import Generation
from .interfaces import Decoder, Encoder, PassTrace, PromptEncoder, StageTimer, untimed
from .network.graphs import BlockGraphs
from .network.kv_cache import KVCache, TextCache
from .network.rope import Rope, rope_table
from .network.transformer import CausalTransformer
from .options import EngineOptions
from .params import StreamParams
from .preset import Preset

_ROPES_KEPT = 8


class Lane:
    """Memory that a block writes before it reads, so that one set serves all streams.

    The KV cache grows to the largest window that any stream has needed and keeps its address.

    Attributes:
        graphs: if set, the device work of blocks is recorded there and replayed.
    """

    def __init__(self, preset: Preset, transformer: CausalTransformer) -> None:
        """Start without memory: the first stream allocates."""
        self._dims = preset.dims
        self._transformer = transformer
        self._cache: KVCache | None = None
        self._text: TextCache | None = None
        self._ropes: OrderedDict[tuple[int, int, int], Rope] = OrderedDict()
        self.graphs: BlockGraphs | None = None

    def cache(self, tokens: int) -> KVCache:
        """The scratch KV cache, with room for `tokens` tokens at least."""
        if self._cache is None or self._cache.tokens < tokens:
            self._drop_cache()
            self._cache = self.own_cache(tokens)
        return self._cache

    def trim(self, tokens: int) -> None:
        """Give memory back, if the scratch has more room than for `tokens` tokens."""
        if self._cache is not None and self._cache.tokens > tokens:
            self._drop_cache()

    def _drop_cache(self) -> None:
        self._cache = None
        if self.graphs is not None:
            self.graphs.clear()

    def own_cache(self, tokens: int, lanes: int = 1) -> KVCache:
        """A KV cache for one stream alone, where its keys outlive a block."""
        device, dtype = self._transformer.device, self._transformer.dtype
        return KVCache(self._dims, tokens, device, dtype, lanes)

    def text(self, embeds: Tensor) -> TextCache:
        """The text keys and values of `embeds`, computed unless they were the last in use."""
        if self._text is None:
            self._text = TextCache(self._dims, self._transformer.device, self._transformer.dtype)
        if self._text.embeds is not embeds:
            self._transformer.write_text(embeds, self._text)
        return self._text

    def rope(self, frames: int, rows: int, columns: int) -> Rope:
        """The rotary table of a window; those used last are kept."""
        key = (frames, rows, columns)
        if key not in self._ropes:
            self._ropes[key] = rope_table(self._dims.head_dim, *key, self._transformer.device)
        self._ropes.move_to_end(key)
        if len(self._ropes) > _ROPES_KEPT:
            self._ropes.popitem(last=False)
        return self._ropes[key]

    def poison(self) -> None:
        """Fill the scratch with NaN, so that a test sees any read of what wasn't written."""
        caches = [cache for cache in (self._cache, self._text) if cache is not None]
        for keys, values in (pair for cache in caches for pair in cache.layers):
            keys.fill_(torch.nan)
            values.fill_(torch.nan)
        if self._text is not None:
            self._text.embeds = None


class Engine:
    """One model on one device, ready to open streams."""

    def __init__(
        self,
        preset: Preset,
        transformer: WanTransformer3DModel,
        vae: Encoder,
        *,
        decoder: Decoder,
        text_encoder: PromptEncoder,
        options: EngineOptions | None = None,
    ) -> None:
        """Put the parts together; all are on their devices and in their dtypes already.

        Raises:
            ValueError: the preset asks for a loop that this engine doesn't have, or an option for
                what the preset's loop doesn't.
        """
        self.preset = preset
        self.options = options or EngineOptions()
        check_loop(preset, self.options)
        self.transformer = CausalTransformer(transformer)
        self.vae = vae
        self.decoder = decoder
        self.lane = Lane(preset, self.transformer)
        self._text_encoder = text_encoder

    def encode_prompt(self, text: str) -> Tensor:
        """Prompt embeds [512, text_dim] of `text`; may run beside a block, on another thread."""
        return self._text_encoder.encode(text)

    def open(
        self,
        prompt: str | Tensor,
        params: StreamParams | None = None,
        *,
        start_frame: Tensor | None = None,
        noise: NoiseSource | None = None,
        trace: PassTrace | None = None,
        timer: StageTimer = untimed,
    ) -> Generation:
        """Open a stream; on the lane's thread, as its blocks.

        Args:
            prompt: text, or its prompt embeds from `encode_prompt`.
            params: default to the preset's.
            start_frame: a picture, uint8 [H, W, 3] of the stream's size, that the stream follows.
            noise: instead of noise from the params' seed.
            trace: called with every pass.
            timer: entered around every stage of a block.

        Raises:
            ValueError: the start frame has another size.
        """
        return Generation(
            self,
            prompt,
            params or StreamParams.of(self.preset),
            start_frame=start_frame,
            noise=noise,
            trace=trace,
            timer=timer,
        )
