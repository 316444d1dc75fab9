"""The decoded pictures that the next block is made from.

A picture that cannot be read is told of and left out.
Knows the threads that decode; knows neither the queue's policy nor the backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from framewire.protocol import Warned
from framewire.protocol.picture_header import LIVE
from framewire.worker.backends.base import Picture, Settings
from framewire.worker.runtime.pictures import PictureError, decode_picture
from framewire.worker.runtime.worker import Worker

from .input_queue import Arrived, Origin
from .outbox import Outbox

_Ready = tuple[Origin, Picture]


class DecodedInput:
    """What was taken from the queue for a block that is not made yet."""

    def __init__(
        self, worker: Worker, viewer: Hashable, settings: Settings, outbox: Outbox
    ) -> None:
        self._worker = worker
        self._viewer = viewer
        self._settings = settings
        self._outbox = outbox
        self._ready: list[_Ready] = []
        self._last: _Ready | None = None
        self._newest: Arrived | None = None

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def newest(self) -> Arrived | None:
        """The last picture that came and can be read."""
        return self._newest

    async def add(self, taken: list[Arrived]) -> None:
        """Decode more pictures, at the session's size."""
        each = list({id(arrived): arrived for arrived in taken}.values())  # some may be repeated
        found = await asyncio.gather(*map(self._decoded, each))
        decoded = {}
        for arrived, picture in zip(each, found, strict=True):
            if isinstance(picture, PictureError):
                self._worker.metrics.pictures_dropped.inc()
                self._outbox.say(
                    Warned(reason=f"image: {picture}", request_id=arrived.origin.request_id)
                )
            else:
                decoded[id(arrived)] = picture
        readable = [one for one in taken if id(one) in decoded]
        if readable:
            self._ready += [(one.origin, decoded[id(one)]) for one in readable]
            self._last, self._newest = self._ready[-1], readable[-1]

    def put(self, pictures: list[Picture]) -> None:
        """Add pictures that were decoded elsewhere."""
        origin = Origin(asyncio.get_running_loop().time())
        self._ready += [(origin, picture) for picture in pictures]

    def pad(self, count: int) -> None:
        """Repeat the last picture that could be read, if any, until there are `count`."""
        if self._last is not None:
            self._ready += [self._last] * (count - len(self._ready))

    def pop(self, count: int) -> tuple[list[Origin], list[Picture]]:
        """The oldest `count` pictures: whence they came, and what they look like."""
        ready, self._ready = self._ready[:count], self._ready[count:]
        return [origin for origin, _ in ready], [picture for _, picture in ready]

    async def _decoded(self, arrived: Arrived) -> Picture | PictureError:
        width, height = self._settings.width, self._settings.height
        try:
            return await self._worker.in_turn(
                self._viewer, lambda: decode_picture(arrived.data, width, height, LIVE)
            )
        except PictureError as error:
            return error
