"""Device buffers that every stream overwrites: a block writes them before it reads them.

So one set serves all streams of an engine, and stays at its addresses.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from framewire.worker.engine.preset import TransformerDims

from .graphs import BlockGraphs
from .kv_cache import KVCache, TextCache
from .rope import Rope, rope_table
from .taken_over import TakenOver
from .transformer import CausalTransformer

_ROPES_KEPT = 8


class Scratch:
    """The scratch of one engine.

    The KV cache grows to the largest window that any stream has needed and keeps its address.

    Attributes:
        caches: recorded on, of streams whose keys outlive a block.
        graphs: if set, the device work of blocks is recorded there and replayed.
    """

    def __init__(self, dims: TransformerDims, transformer: CausalTransformer) -> None:
        """Start without memory: the first stream allocates."""
        self._dims = dims
        self._transformer = transformer
        self._cache: KVCache | None = None
        self._text: TextCache | None = None
        self._ropes: OrderedDict[tuple[int, int, int], Rope] = OrderedDict()
        self.caches: TakenOver[KVCache] = TakenOver()
        self.graphs: BlockGraphs | None = None

    def cache(self, tokens: int) -> KVCache:
        """The shared KV cache, with room for `tokens` tokens at least."""
        if self._cache is None or self._cache.tokens < tokens:
            self._drop_cache()
            self._cache = self.new_cache(tokens)
        return self._cache

    def trim(self, tokens: int) -> None:
        """Give memory back, if the shared cache has more room than for `tokens` tokens."""
        if self._cache is not None and self._cache.tokens > tokens:
            self._drop_cache()

    def _drop_cache(self) -> None:
        self._cache = None
        if self.graphs is not None:
            self.graphs.clear()

    def new_cache(self, tokens: int, batch: int = 1) -> KVCache:
        """A KV cache of so many tokens in each of `batch` rows."""
        return self._transformer.new_cache(self._dims, tokens, batch)

    def text(self, embeds: Tensor) -> TextCache:
        """The text keys and values of `embeds`, computed unless they were the last in use.

        They are the same only under the same adapters, as far as these change text.
        """
        if self._text is None:
            self._text = self._transformer.new_text_cache(self._dims)
        now = self._transformer.text_strengths
        if self._text.embeds is not embeds or self._text.strengths != now:
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
        for cache in (self._cache, self._text):
            if cache is not None:
                cache.fill(torch.nan)
        if self._text is not None:
            self._text.embeds = None
