"""Counts what operations a piece of work calls for, stage by stage: arithmetic, launches, bytes, memory.

Sees every operation that reaches torch's dispatcher; on the meta device none of them is carried
out. Knows no engine.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from framewire.worker.engine.network import shard  # noqa: F401 (defines what is counted as sent)

_ALLOCATES = (
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "lift_fresh",
    "new_empty_strided",
)
"""Take memory and run nothing."""
_OVERWRITES = ("copy_", "fill_", "zero_", "normal_", "uniform_")
"""Write to their first argument without reading it."""
_PICKS = ("index", "gather", "index_select", "embedding")
"""Read as much of their first argument as they give."""
_PUTS = ("index_put_", "scatter_", "index_copy_")
"""Write to as much of their first argument as they are given."""


_EXCHANGES: dict[Any, Callable[..., float]] = {
    torch.ops.framewire.all_to_all: lambda parts: parts.nbytes * (len(parts) - 1) / len(parts),
    torch.ops.framewire.all_gather: lambda part, ranks: part.nbytes * (ranks - 1),
}
"""What a rank sends to others in each."""


@dataclass(slots=True)
class Work:
    """What was called for.

    Attributes:
        flops: of products, convolutions and attention; a multiply and an add are two.
        launches: operations that run a kernel each in eager mode; views are none.
        traffic: bytes that all operations but those counted in `flops` read and write.
        sent: bytes that go to other ranks.
        peak: the most bytes held at once beyond what was held when the stage began; 0 outside of any.
    """

    flops: float = 0.0
    launches: int = 0
    traffic: float = 0.0
    peak: int = 0
    sent: float = 0.0


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered.

    Attributes:
        stages: work by the stage that it was called for in; `""` outside of any.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stages: dict[str, Work] = {}
        self._stage = ""
        self._held = self._base = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is called for inside counts for the stage of that name."""
        outer, self._stage = self._stage, name
        base, self._base = self._base, self._held
        try:
            yield
        finally:
            self._stage, self._base = outer, base

    @contextmanager
    def noting(self) -> Iterator[Work]:
        """Collect what is called for inside, which counts as ever; for `again`."""
        noted, began = Work(), self._held
        stages, base = self.stages, self._base
        self.stages, self._base = {self._stage: noted}, began
        try:
            yield noted
        finally:
            self.stages, self._base = stages, base
            self._add(noted, began)

    def again(self, noted: Work) -> None:
        """Count what was noted once more."""
        self._add(noted, self._held)

    def _add(self, noted: Work, held: int) -> None:
        work = self.stages.setdefault(self._stage, Work())
        work.flops += noted.flops
        work.launches += noted.launches
        work.traffic += noted.traffic
        work.sent += noted.sent
        work.peak = max(work.peak, held - self._base + noted.peak)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count one operation, or what it is made of."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet not in flop_registry:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        work = self.stages.setdefault(self._stage, Work())
        if not _is_view(func):
            self._hold(out, work)
        if packet in flop_registry:
            work.flops += flop_registry[packet](*args, **kwargs, out_val=out)
            work.launches += 1
        elif packet in _EXCHANGES:
            work.launches += 1
            work.sent += _EXCHANGES[packet](*args)
        elif not _is_free(func):
            work.launches += 1
            work.traffic += _traffic(func, args, kwargs, out)
        return out

    def _hold(self, out: Any, work: Work) -> None:
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage in self._seen:
                continue
            self._seen.add(storage)
            size = storage.nbytes()
            self._held += size
            weakref.finalize(storage, self._free, size)
        if self._stage:
            work.peak = max(work.peak, self._held - self._base)

    def _free(self, size: int) -> None:
        self._held -= size


def _is_free(func: Any) -> bool:
    """Whether it only looks at memory another way, or takes some."""
    if func._schema.name.rpartition("::")[2] in _ALLOCATES:
        return True
    return _is_view(func) and not func._schema.is_mutable


def _is_view(func: Any) -> bool:
    """Whether what it gives lies where what it was given lies."""
    return any(value.alias_info is not None for value in func._schema.returns)


def _traffic(func: Any, args: tuple[Any, ...], kwargs: Any, out: Any) -> float:
    """Bytes read and written."""
    name = func._schema.name.rpartition("::")[2]
    given = _tensors((args, kwargs))
    if name in _OVERWRITES:
        return float(_bytes(args[0]) + sum(map(_bytes, given[1:])))
    if name in _PICKS:
        return float(2 * sum(map(_bytes, _tensors(out))) + sum(map(_bytes, given[1:])))
    if name in _PUTS:
        last = given[-1]
        return float(_bytes(last) + sum(map(_bytes, given[1:])))
    return float(sum(map(_bytes, given)) + sum(map(_bytes, _tensors(out))))


def _bytes(tensor: Tensor) -> int:
    """Bytes of the elements; what is expanded is read once."""
    shape = [
        size
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
        if stride or not size
    ]
    return int(torch.Size(shape).numel()) * tensor.element_size()


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
