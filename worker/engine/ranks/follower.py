"""A rank that does what rank 0 tells it, until it is told no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from framewire.worker.engine.network.kernels import choose
from framewire.worker.engine.network.kv_cache import KVCache, TextCache
from framewire.worker.engine.network.shard import all_gather
from framewire.worker.engine.network.speed import fuse_qkv, to_fp8
from framewire.worker.engine.network.transformer import CausalTransformer, Modulation
from framewire.worker.engine.network.weights import load_transformer

from .digest import Digest
from .leader import gathered_means
from .orders import (
    GatherDigests,
    GatherMeans,
    Load,
    NewCache,
    NewTextCache,
    OnCache,
    Order,
    Pass,
    Told,
    WriteText,
)


class Follower:
    """One rank other than 0, which has joined the others."""

    def __init__(self, rank: int, ranks: int, device: torch.device, *, check: bool) -> None:
        self._rank, self._ranks = rank, ranks
        self._device = device
        self._digest = Digest() if check else None
        self._caches: dict[int, KVCache] = {}
        self._texts: dict[int, TextCache] = {}
        self._transformer: CausalTransformer | None = None
        self._load: Load | None = None
        self._rope: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def follow(self, orders: Iterator[Told]) -> None:
        """Obey until there are no more orders."""
        for told in orders:
            for key in told.forgotten:
                self._caches.pop(key, None)
                self._texts.pop(key, None)
            tensors = [self._receive(*layout) for layout in told.layouts]
            if self._digest is not None:
                self._digest.add(told.order, tensors)
            self._obey(told.order, tensors)

    def _receive(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype, device=self._device)
        dist.broadcast(tensor, 0)
        return tensor

    def _obey(self, order: Order, tensors: list[Tensor]) -> None:
        match order:
            case Load():
                self._build(order, tensors)
            case NewCache():
                self._caches[order.cache] = self._network.new_cache(
                    self._loaded.dims, order.tokens, order.batch
                )
            case NewTextCache():
                self._texts[order.text] = self._network.new_text_cache(self._loaded.dims)
            case WriteText():
                self._network.write_text(tensors[0], self._texts[order.text])
            case Pass():
                self._run(order, tensors)
            case OnCache():
                getattr(self._caches[order.cache], order.method)(*order.args)
            case GatherMeans():
                cache = self._caches[order.cache]
                gathered_means(cache.frame_means(tensors[0], order.frame_tokens), self._ranks)
            case GatherDigests():
                assert self._digest is not None, "all ranks check, or none"
                all_gather(self._digest.value(self._device), self._ranks)

    def _build(self, order: Load, tensors: list[Tensor]) -> None:
        weights = dict(zip(order.names, tensors, strict=True))
        dtype = tensors[0].dtype
        model = load_transformer(weights, order.dims, device=self._device, dtype=dtype)
        if order.options.fuse_qkv:
            fuse_qkv(model)
        if order.options.fp8:
            to_fp8(model)
        network = CausalTransformer(model)
        network.rank, network.ranks = self._rank, self._ranks
        _, network.kernel = choose(order.options.attention, self._device, dtype)
        if order.options.compile:
            network.compile()
        self._load, self._transformer = order, network

    def _run(self, order: Pass, tensors: list[Tensor]) -> None:
        x, embedding, projection, *rest = tensors
        if order.has_rope:
            self._rope = (rest[0], rest[1])
        assert self._rope is not None, "the first pass has its rotary table with it"
        cache = self._caches[order.cache]
        run: Any = getattr(self._network, order.kind)
        run(
            x,
            Modulation(embedding, projection),
            self._rope,
            cache.first_row() if order.first_row else cache,
            self._texts[order.text],
            order.window,
            rest[-1] if order.has_slots else None,
        )

    @property
    def _network(self) -> CausalTransformer:
        assert self._transformer is not None, "weights come first"
        return self._transformer

    @property
    def _loaded(self) -> Load:
        assert self._load is not None, "weights come first"
        return self._load
