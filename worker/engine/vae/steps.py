"""One step of a streaming network, as it is written or compiled: latent in, what is remembered too.

A network that streams reads and replaces what it remembers in a list. A compiler is given a step
without side effects instead; it sees only steps whose shapes repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_SHAPES = 8
"""Input shapes that are compiled; each takes minutes for some networks."""
_RECOMPILE_LIMIT = 64


class Step:
    """Calls `run(x, slots)`, which replaces what is in `slots`.

    Args:
        settled: steps of a stream after which shapes repeat.
        first: whether a stream's first step is often its only one, and worth compiling too.
    """

    def __init__(
        self, run: Callable[[Tensor, list[Any]], Tensor], *, settled: int, first: bool = False
    ) -> None:
        self._run = run
        self._settled, self._first = settled, first
        self._compiled: Callable[..., tuple[Tensor, list[Any]]] | None = None
        self._shapes: set[tuple[torch.Size, bool]] = set()
        self._may_compile = True

    def __call__(self, x: Tensor, slots: list[Any], number: int) -> Tensor:
        """Step `number` of a stream, from 0."""
        if self._compiled is None or not self._is_compiled(x, number):
            return self._run(x, slots)
        out, slots[:] = self._compiled(x, *map(_strided_by_size, slots))
        return out

    def compile(self, **options: Any) -> None:
        """Compile steps that repeat, each shape when it first comes; `options` as of torch."""

        def step(x: Tensor, *slots: Any) -> tuple[Tensor, list[Any]]:
            entries = list(slots)
            return self._run(x, entries), entries

        # One code object serves all steps of a process; past the limit fullgraph is an error.
        dynamo: Any = torch._dynamo.config
        dynamo.recompile_limit = max(dynamo.recompile_limit, _RECOMPILE_LIMIT)
        self._compiled = torch.compile(step, fullgraph=True, dynamic=False, **options)

    def stop_compiling(self) -> None:
        """Compile no further shape."""
        self._may_compile = False

    def _is_compiled(self, x: Tensor, number: int) -> bool:
        if number < self._settled and not (self._first and number == 0):
            return False
        shape = (x.shape, number == 0)
        if self._may_compile and len(self._shapes) < _SHAPES:
            self._shapes.add(shape)
        return shape in self._shapes


def _strided_by_size(entry: Any) -> Any:
    """A batch of one has a stride that means nothing, but that compiled work is chosen by."""
    return entry[0][None] if isinstance(entry, Tensor) else entry
