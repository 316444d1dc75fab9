"""Decoding beside denoising: on a GPU a stream of its own, ordered with the lane's by events.

Elsewhere work is done when it is called, and there is nothing to order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_URGENT = -1
"""Decoding goes before denoising where both could run: its frames are what a viewer waits for."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Prompt embeds [512, text_dim], and the point at which the device is done with them."""

    embeds: Tensor
    ready: Any


class Overlap:
    """The streams of one device: for all sessions one decodes, and one encodes prompts.

    Attributes:
        parts_at_once: of a block's decoding, to be asked for before one is waited for: a device of
            its own is kept busy by a second.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda: Any = torch.cuda if device.type == "cuda" else None
        self._device = device
        self.parts_at_once = 2 if self._cuda else 1
        self._encoding: Any = self._cuda.Stream(device) if self._cuda else None
        self._decoding: Any = self._cuda.Stream(device, priority=_URGENT) if self._cuda else None

    def mark(self) -> Any:
        """The point that the calling thread's stream has come to."""
        return self._cuda.current_stream(self._device).record_event() if self._cuda else None

    def mark_decoding(self) -> Any:
        """The point that decoding has come to."""
        return self._decoding.record_event() if self._cuda else None

    def wait(self, mark: Any) -> None:
        """Block the calling thread until the device has come to `mark`."""
        if mark is not None:
            mark.synchronize()

    def after(self, mark: Any) -> None:
        """Let the calling thread's stream go on only after `mark`; the thread itself goes on."""
        if mark is not None:
            self._cuda.current_stream(self._device).wait_event(mark)

    @contextmanager
    def decoding(self, ready: Any, latents: Tensor) -> Iterator[None]:
        """Run what is inside in the decoding stream, after `ready`, when `latents` were made."""
        if not self._cuda:
            yield
            return
        with self._cuda.stream(self._decoding):
            self._decoding.wait_event(ready)
            latents.record_stream(self._decoding)
            yield

    def encoded(self, encode: Callable[[], Tensor]) -> Encoded:
        """Run `encode` in a stream of its own, on any thread."""
        if not self._cuda:
            return Encoded(encode(), None)
        with self._cuda.stream(self._encoding):
            embeds = encode()
            return Encoded(embeds, self._encoding.record_event())

    def embeds(self, encoded: Encoded) -> Tensor:
        """The embeds, for the calling thread's stream to use."""
        if encoded.ready is not None:
            self.after(encoded.ready)
            encoded.embeds.record_stream(self._cuda.current_stream(self._device))
        return encoded.embeds

    def to_cpu(self, frames: Tensor) -> Callable[[], NDArray[np.uint8]]:
        """Start copying uint8 frames to main memory; the returned call waits for them."""
        if not self._cuda:
            return lambda: frames.cpu().numpy()
        held = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
        held.copy_(frames, non_blocking=True)
        copied = self.mark()

        def arrived() -> NDArray[np.uint8]:
            copied.synchronize()
            return held.numpy()

        return arrived
