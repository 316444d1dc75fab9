"""Decoding beside denoising: on a GPU a stream of its own, ordered with the lane's by events.

Elsewhere work is done when it is called, and there is nothing to order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_URGENT = -1
"""Decoding goes before denoising where both could run: its frames are what a viewer waits for."""


class Overlap:
    """The streams of one device. All decoding of all sessions is in one of them, in order."""

    def __init__(self, device: torch.device) -> None:
        self._cuda: Any = torch.cuda if device.type == "cuda" else None
        self._device = device
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
