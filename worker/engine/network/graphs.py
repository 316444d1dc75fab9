"""A block's device work, recorded once and replayed from static addresses (CUDA graphs).

What varies between blocks is copied into buffers that stay where they are; everything else
(weights, caches, tables) must not move and is kept alive here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .speed import SpeedError

Work = Callable[..., Tensor]
"""Device work on the given tensors that returns one tensor and waits for nothing."""
Capture = Callable[[Work, tuple[Tensor, ...]], tuple[Callable[[], None], Tensor]]
"""Record work on tensors that stay in place: what replays it, and where its result lies."""

_KEPT = 8
_SEEN_KEPT = 64


@dataclass
class _Recorded:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    output: Tensor
    work: Work  # keeps alive what it refers to: the graph has their addresses


class BlockGraphs:
    """Records of the last few kinds of work."""

    def __init__(self, capture: Capture | None = None, *, repeated: bool = False) -> None:
        """Start empty.

        Args:
            capture: instead of a CUDA graph's.
            repeated: record only what comes a second time.
        """
        self._capture = capture or CudaCapture()
        self._repeated = repeated
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._recorded: OrderedDict[Hashable, _Recorded] = OrderedDict()

    def fresh(self) -> BlockGraphs:
        """Records of work on other memory: they keep it alive, and are let go of with it.

        Of what a stream does once only, such as its first blocks, each of which sees more than the
        one before, there are none.
        """
        return BlockGraphs(self._capture, repeated=True)

    def begin(self) -> None:
        """A stream begins: what another has done once does not count as done before."""
        self._seen.clear()

    def run(
        self,
        key: Hashable,
        work: Work,
        inputs: tuple[Tensor, ...],
        keep: Callable[[], Callable[[], None]] | None = None,
    ) -> Tensor:
        """The result of `work(*inputs)`, replayed if work of this key has been recorded.

        Args:
            key: equal only for work that differs in nothing but the contents of `inputs`: all
                numbers, shapes and addresses that it uses otherwise are part of it.
            keep: for work that reads memory before it overwrites it, so that it comes out otherwise
                when it is done again, as it is in recording. Called before; what it returns, after.
        """
        key = (key, tuple((tuple(x.shape), x.dtype) for x in inputs))
        if self._repeated and key not in self._recorded and key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > _SEEN_KEPT:
                self._seen.popitem(last=False)
            return work(*inputs)
        if key not in self._recorded:
            static = tuple(x.clone() for x in inputs)
            restore = keep() if keep is not None else None
            replay, output = self._capture(work, static)
            if restore is not None:
                restore()
            self._recorded[key] = _Recorded(static, replay, output, work)
            if len(self._recorded) > _KEPT:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        recorded = self._recorded[key]
        for held, given in zip(recorded.inputs, inputs, strict=True):
            held.copy_(given, non_blocking=True)
        recorded.replay()
        return recorded.output.clone()

    def clear(self) -> None:
        """Forget all records: an address that they use is about to change."""
        self._recorded.clear()


class CudaCapture:
    """Records work as CUDA graphs, which share one pool of memory.

    They may: graphs are replayed one at a time, and what one leaves is copied before the next.
    """

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, work: Work, inputs: tuple[Tensor, ...]) -> tuple[Callable[[], None], Tensor]:
        """Record `work`, after a run that lets kernels tune and allocate themselves.

        Raises:
            SpeedError: the inputs aren't on a CUDA device.
        """
        device = inputs[0].device
        if device.type != "cuda":
            raise SpeedError(f"CUDA graphs need a CUDA device, not {device.type}")
        cuda: Any = torch.cuda
        if self._pool is None:
            self._pool = cuda.graph_pool_handle()
        side = cuda.Stream(device)
        side.wait_stream(cuda.current_stream(device))
        with cuda.stream(side):
            for _ in range(2):
                work(*inputs)
        cuda.current_stream(device).wait_stream(side)
        graph = cuda.CUDAGraph()
        # Other threads (decoding on a stream of its own) go on allocating while this one records.
        with cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = work(*inputs)
        return graph.replay, output
