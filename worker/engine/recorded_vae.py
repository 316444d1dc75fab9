"""Encoding and decoding recorded once and replayed: a settled stream's state stays at its addresses.

What the networks remember of a stream are new tensors after each call. Once their shapes repeat,
they are copied into buffers that stay, and streams take these over from one another, with what was
recorded on them.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import Decoder, Encoder
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.taken_over import Taken, TakenOver

Remembered = Callable[[Any], list[Any]]
"""The list, in a state, of what a network remembers: tensors, once it has settled, and None."""
_Shapes = tuple[torch.Size | None, ...]


_Buffers = list[Tensor | None]
"""What a stream's network remembers, at addresses that stay."""


class RecordedState:
    """One stream's, around the state of what is recorded.

    Attributes:
        size: height and width of what went in.
        shapes: of what was remembered after the last call.
        buffers: that it has moved to.
    """

    def __init__(self, plain: Any) -> None:
        """Begin as `plain` does."""
        self.plain = plain
        self.size: torch.Size | None = None
        self.shapes: _Shapes | None = None
        self.buffers: Taken[_Buffers] | None = None


class _Direction:
    """One way, with the buffers that no stream has now."""

    def __init__(self, remembered: Remembered, graphs: BlockGraphs) -> None:
        self._remembered = remembered
        self._graphs = graphs
        self._buffers: TakenOver[_Buffers] = TakenOver()
        self._one_at_a_time = threading.Lock()  # streams decode on threads of their own

    def call(
        self, run: Callable[[Tensor, Any], Tensor], name: str, x: Tensor, state: RecordedState
    ) -> Tensor:
        """The result of `run(x, plain state)`, where `name` says what else it depends on."""
        if state.buffers is None or x.shape[2:] != state.size:
            out = run(x, state.plain)
            state.size = x.shape[2:]
            self._move_if_settled(state)
            return out
        buffers, plain = state.buffers.memory, state.plain  # not the state: it has to end
        entries = self._remembered(plain)

        def work(x: Tensor) -> Tensor:
            entries[:] = buffers
            out = run(x, plain)
            _copy(entries, buffers)
            entries[:] = [None] * len(entries)
            return out

        def keep() -> Callable[[], None]:
            before = [None if buffer is None else buffer.clone() for buffer in buffers]
            return lambda: _copy(before, buffers)

        with self._one_at_a_time:
            return state.buffers.records.run(name, work, (x,), keep)

    def _move_if_settled(self, state: RecordedState) -> None:
        """Move to buffers, if the shapes of what is remembered repeat."""
        entries = self._remembered(state.plain)
        if any(isinstance(entry, str) for entry in entries):
            return
        shapes = tuple(None if entry is None else entry.shape for entry in entries)
        if shapes != state.shapes:
            state.shapes = shapes
            return
        state.buffers = self._buffers.take(shapes, lambda: _like(entries), self._graphs)
        weakref.finalize(state, self._buffers.give_back, state.buffers)
        _copy(entries, state.buffers.memory)
        entries[:] = [None] * len(entries)


def _like(entries: _Buffers) -> _Buffers:
    return [None if entry is None else torch.empty_like(entry) for entry in entries]


def _copy(entries: _Buffers, buffers: _Buffers) -> None:
    for entry, buffer in zip(entries, buffers, strict=True):
        if entry is not None and buffer is not None:
            buffer.copy_(entry)


class RecordedEncoder:
    """An `Encoder` whose settled calls are replayed."""

    def __init__(self, plain: Encoder, remembered: Remembered, graphs: BlockGraphs) -> None:
        """Record what `plain` does.

        Args:
            graphs: of the stream of device work that it is called in.
        """
        self._plain = part = cast(Any, plain)
        self._way = _Direction(remembered, graphs)
        self._stills = graphs.fresh()
        self.dtype, self.device = part.dtype, part.device
        self.encoder_state_bytes = part.encoder_state_bytes

    def open_encoder(self) -> RecordedState:
        """Begin a stream of frames."""
        return RecordedState(self._plain.open_encoder())

    @torch.no_grad()
    def encode(self, pixels: Tensor, state: RecordedState, normalise: bool = True) -> Tensor:
        """As the plain one."""
        pixels = pixels.to(self.device)

        def run(x: Tensor, plain: Any) -> Tensor:
            latents: Tensor = self._plain.encode(x, plain, normalise=normalise)
            return latents

        return self._way.call(run, f"encode, {normalise}", pixels, state)

    @torch.no_grad()
    def encode_still(self, pixels: Tensor) -> Tensor:
        """As the plain one."""
        return self._stills.run("still", self._plain.encode_still, (pixels.to(self.device),))


class RecordedDecoder:
    """A `Decoder` whose settled calls are replayed."""

    def __init__(self, plain: Decoder, remembered: Remembered, graphs: BlockGraphs) -> None:
        """Record what `plain` does.

        Args:
            graphs: of the stream of device work that it is called in.
        """
        self._plain = part = cast(Any, plain)
        self._way = _Direction(remembered, graphs)
        self.dtype, self.device = part.dtype, part.device
        self.decoder_state_bytes = part.decoder_state_bytes
        self.by_latent: bool = part.by_latent

    def open_decoder(self) -> RecordedState:
        """Begin a stream of latents."""
        return RecordedState(self._plain.open_decoder())

    @torch.no_grad()
    def decode(self, z: Tensor, state: RecordedState) -> Tensor:
        """As the plain one."""
        run: Callable[[Tensor, Any], Tensor] = self._plain.decode
        return self._way.call(run, "decode", z.to(self.device), state)
