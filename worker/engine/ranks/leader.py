"""Rank 0 of several: streams live here alone, and the others are told of every pass.

What a stream is (its prompts, its noise, its place in time) no other rank knows, so that none can
come to differ in it. They hold weights and their heads of the caches, and do what they are told.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from framewire.worker.engine.network.kv_cache import KVCache, TextCache
from framewire.worker.engine.network.shard import all_gather
from framewire.worker.engine.network.transformer import CausalTransformer, Given, Kind
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset, TransformerDims

from .digest import Digest
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


class RanksLost(RuntimeError):
    """A rank is gone or out of step, and with it every stream; the engine has to be built anew."""


class Channel(Protocol):
    """To one of the others."""

    def send(self, told: Told) -> None:
        """Hand it over; it comes after what was sent before."""


class Ranks:
    """All ranks as rank 0 sees them. Used on one thread, but for what says otherwise.

    Attributes:
        count: with rank 0 itself.
        settled: all is loaded and warm; before that, a step may take minutes, such as to compile.
        lost: why they can do no more; empty as long as they can.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        device: torch.device,
        *,
        timeout: float,
        check: bool = False,
    ) -> None:
        """Lead ranks that have joined.

        Args:
            timeout: seconds that one step of all ranks may take, once they have settled.
            check: compare after every pass what each rank was told. Waits for the device.
        """
        self.count = 1 + len(channels)
        self.lost = ""
        self.settled = False
        self._channels = channels
        self._device = device
        self._timeout = timeout
        self._digest = Digest() if check else None
        self._keys = itertools.count(1)
        self._forgotten: list[int] = []
        self._under_way: tuple[float, Any] | None = None

    def load(
        self, model: WanTransformer3DModel, dims: TransformerDims, options: EngineOptions
    ) -> None:
        """Give the others the model's weights; before it is fused, quantised or compiled here.

        Raises:
            RanksLost: they cannot be reached.
        """
        state = cast(nn.Module, model).state_dict()
        with self.step():
            self.tell(Load(dims, tuple(state), options), *state.values())
            self.compare()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Something that all ranks do. Whatever interrupts it leaves them out of step.

        Raises:
            RanksLost: it was interrupted, or they were lost before.
        """
        if self.lost:
            raise RanksLost(self.lost)
        until = time.monotonic() + self._timeout + (0 if self.settled else _SECONDS_TO_LOAD)
        self._under_way = (until, None)
        try:
            yield
        except Exception as error:
            self.lost = self.lost or f"rank 0 was interrupted: {error}"
            raise RanksLost(self.lost) from error
        self._under_way = (until, _mark()) if self._device.type == "cuda" else None

    @property
    def overdue(self) -> bool:
        """Whether a step has not ended in its time. For any thread."""
        under_way = self._under_way
        if under_way is None:
            return False
        until, mark = under_way
        return time.monotonic() > until and (mark is None or not mark.query())

    def tell(self, order: Order, *tensors: Tensor) -> None:
        """Give the others an order, and the tensors that go with it."""
        forgotten, self._forgotten = self._forgotten, []  # which any thread may add to
        layouts = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        for channel in self._channels:
            channel.send(Told(order, layouts, tuple(forgotten)))
        for tensor in tensors:
            dist.broadcast(tensor.contiguous(), 0)
        if self._digest is not None:
            self._digest.add(order, tensors)

    def compare(self) -> None:
        """Make sure that all have been told the same, where that is to be checked.

        Raises:
            RuntimeError: they have not.
        """
        if self._digest is None:
            return
        self.tell(GatherDigests())
        digests = all_gather(self._digest.value(self._device), self.count).flatten().tolist()
        if len(set(digests)) > 1:
            raise RuntimeError(f"ranks were told different things: digests {digests}")

    def key_for(self, owner: object) -> int:
        """A key that the others are told to forget once `owner` is gone."""
        key = next(self._keys)
        weakref.finalize(owner, self._forgotten_key, key)
        return key

    def _forgotten_key(self, key: int) -> None:
        self._forgotten.append(key)


_SECONDS_TO_LOAD = 600.0


def _mark() -> Any:
    cuda: Any = torch.cuda
    return cuda.current_stream().record_event()


def check_ranks(preset: Preset, options: EngineOptions, ranks: int) -> None:
    """Refuse a number of ranks that heads cannot be shared out to, and options not made for several.

    Raises:
        ValueError: says what can be.
    """
    if options.cuda_graph:
        raise ValueError("cuda_graph is for one GPU: nobody has measured it on several yet")
    dims = preset.dims
    if ranks < 1 or dims.heads % ranks:
        fit = [str(n) for n in range(2, 9) if dims.heads % n == 0]
        raise ValueError(
            f"the {dims.heads} heads of {preset.name} cannot be shared out to {ranks} GPUs: "
            f"num_gpus may be {', '.join(['1', *fit])}"
        )


class _Owner:
    """Lives as long as anything that refers to a cache."""


class LeadingCache(KVCache):
    """Rank 0's heads of a cache; what is done to it is done to the others' heads too."""

    def __init__(
        self,
        others: Ranks,
        dims: TransformerDims,
        tokens: int,
        device: torch.device,
        dtype: torch.dtype,
        batch: int,
    ) -> None:
        super().__init__(dims, tokens, device, dtype, batch)
        self._others = others
        self._owner = _Owner()
        self.key = others.key_for(self._owner)
        self.is_first_row = False

    def first_row(self) -> KVCache:
        """The first row by itself, in the same memory."""
        row = super().first_row()
        assert isinstance(row, LeadingCache)
        row.is_first_row = True
        return row

    def replicate(self) -> None:
        """Make every row what the first one is."""
        with self._told("replicate"):
            super().replicate()

    def remember_first(self, tokens: int) -> None:
        """Keep a copy of the first keys."""
        with self._told("remember_first", tokens):
            super().remember_first(tokens)

    def turn_first(self, frames: int) -> None:
        """Move the keys that were remembered in time."""
        with self._told("turn_first", frames):
            super().turn_first(frames)

    def bring(self, frames: Sequence[int], target: int, frame_tokens: int) -> None:
        """Copy frames to other places."""
        with self._told("bring", tuple(frames), target, frame_tokens):
            super().bring(frames, target, frame_tokens)

    def turn(self, first: int, last: int, frames: int) -> None:
        """Move keys in time."""
        with self._told("turn", first, last, frames):
            super().turn(first, last, frames)

    def roll(self, source: int, target: int, count: int, frames: int) -> None:
        """Move tokens, and their keys in time."""
        with self._told("roll", source, target, count, frames):
            super().roll(source, target, count, frames)

    def fill(self, value: float) -> None:
        """Make all of it one value."""
        with self._told("fill", value):
            super().fill(value)

    def frame_means(self, slots: Tensor, frame_tokens: int) -> tuple[Tensor, Tensor]:
        """Means of frames over all heads."""
        with self._others.step():
            self._others.tell(GatherMeans(self.key, frame_tokens), slots)
            return gathered_means(super().frame_means(slots, frame_tokens), self._others.count)

    @contextmanager
    def _told(self, method: Any, *args: Any) -> Iterator[None]:
        with self._others.step():
            self._others.tell(OnCache(self.key, method, args))
            yield


def gathered_means(own: tuple[Tensor, Tensor], ranks: int) -> tuple[Tensor, Tensor]:
    """Means of all heads of what each rank has of its own, [layers, batch, heads * head_dim]."""
    parts = all_gather(torch.stack(own), ranks)  # [ranks, 2, layers, batch, own heads * head_dim]
    keys, values = parts.movedim(0, -2).flatten(-2).unbind()
    return keys, values


class LeadingTextCache(TextCache):
    """A prompt's keys and values, which every rank has all of."""

    def __init__(
        self, others: Ranks, dims: TransformerDims, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(dims, device, dtype)
        self.key = others.key_for(self)


class LeadingTransformer(CausalTransformer):
    """Rank 0's share of the network, with the others at its side."""

    def __init__(self, model: WanTransformer3DModel, others: Ranks) -> None:
        """Take a model whose weights the others have been given."""
        super().__init__(model)
        self.ranks = others.count
        self._others = others
        self._rope: tuple[Tensor, Tensor] | None = None

    def new_cache(self, dims: TransformerDims, tokens: int, batch: int = 1) -> KVCache:
        """Room for keys and values, on every rank for its heads."""
        with self._others.step():
            own = self._own_heads(dims)
            cache = LeadingCache(self._others, own, tokens, self.device, self.dtype, batch)
            self._others.tell(NewCache(cache.key, tokens, batch))
        return cache

    def new_text_cache(self, dims: TransformerDims) -> TextCache:
        """Room for one prompt, on every rank."""
        with self._others.step():
            cache = LeadingTextCache(self._others, dims, self.device, self.dtype)
            self._others.tell(NewTextCache(cache.key))
        return cache

    def write_text(self, embeds: Tensor, cache: TextCache) -> None:
        """Fill `cache`, on every rank."""
        assert isinstance(cache, LeadingTextCache)
        with self._others.step():
            self._others.tell(WriteText(cache.key), embeds.to(self.device))
            super().write_text(embeds, cache)

    @contextmanager
    def _together(self, kind: Kind, given: Given) -> Iterator[None]:
        cache, text = given.cache, given.text
        assert isinstance(cache, LeadingCache) and isinstance(text, LeadingTextCache)
        new_rope = self._rope is not given.rope
        slots = () if given.slots is None else (given.slots,)
        order = Pass(
            kind,
            cache.key,
            cache.is_first_row,
            text.key,
            given.window,
            has_rope=new_rope,
            has_slots=bool(slots),
        )
        self._rope = given.rope
        with self._others.step():
            self._others.tell(
                order, given.x, *given.modulation, *(given.rope if new_rope else ()), *slots
            )
            yield
            self._others.compare()
