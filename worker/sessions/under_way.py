"""What one map of params has set going: the values in force, the input, and the stream of both.

Resets make another stream of it; other params make another one of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from framewire.protocol import Params, Steer
from framewire.protocol.picture_header import LIVE
from framewire.protocol.steering import BlockShape, Steering, in_blocks
from framewire.worker.backends.base import Settings, SettingsError
from framewire.worker.runtime.pictures import PictureError, picture_size
from framewire.worker.runtime.resolving import resolved
from framewire.worker.runtime.settings import size_follows_input
from framewire.worker.runtime.worker import Worker

from .camera import CameraWait, may_follow
from .input_queue import Arrived, InputQueue, Origin
from .prompts.ahead import Prompts
from .stream import Stream

_PROMPTS_AHEAD = 4
"""Of those that come with the params, encoded before they are due."""
_TOO_LATE = "it came after the end of the input, so no block is made from it"
_NO_ROOM = "the worker holds as many pictures as it may"


class UnderWay:
    """The stream under way in one session.

    Attributes:
        before: what was under way before, in force again if these params are refused.
        stream: what makes the blocks, once there is a place for it.
        prompts: what its maps ask to be shown, encoded beforehand.
        camera: how long the stream waits for pictures that its params do not announce.
    """

    def __init__(
        self, worker: Worker, viewer: Hashable, params: Params, before: UnderWay | None = None
    ) -> None:
        """Begin with `params`, where keys that are absent keep their value from `before`.

        Args:
            viewer: whose turn it is where pictures are decoded.
        """
        self._worker = worker
        self._viewer = viewer
        self.prompts = Prompts(worker)
        self.before = before
        defaults = worker.backend.defaults
        self._shape = BlockShape(defaults.first_block_frames, defaults.block_frames)
        steers, params = params.steers or (), params.model_copy(update={"steers": None})
        if before is None:
            self.steering = Steering(params)
        else:
            before.leave_its_past()
            self.steering = Steering(params.over(before.steering.params), before.steering)
        if before is not None:
            before.input.close()
        self.steering.plan(in_blocks(steer, self._shape) for steer in steers)
        self.prompts.ahead(self.steering.params)
        for steer in steers[:_PROMPTS_AHEAD]:
            self.prompts.ahead(steer)
        self._has_place = False
        start_frame = self.steering.params.start_frame
        inherited = before is not None and start_frame is before.steering.params.start_frame
        self._kept = 0 if inherited else len(start_frame or b"")
        worker.input_room.hold(self._kept)
        self.input: InputQueue = self._new_input()
        expected = not inherited and may_follow(self.steering.params)
        self.camera = CameraWait(worker.config.camera_wait if expected else 0.0)
        self.stream: Stream | None = None

    def leave_its_past(self) -> None:
        """What was under way before it will not be in force again."""
        if self.before is None:
            return
        if self.steering.params.start_frame is self.before.steering.params.start_frame:
            self._kept, self.before._kept = self.before._kept, 0
        self.before.close()
        self.before = None

    def take(self, steer: Steer) -> None:
        """A map while it streams.

        Raises:
            OverflowError: too many maps are held for later blocks.
        """
        if not self.steering.repeats(steer):
            self.prompts.ahead(steer)
        try:
            block = self.stream.block if self.stream else 0
            self.steering.add(in_blocks(steer, self._shape), block)
        finally:
            if self.steering.ended:
                self.input.end()
            self.interrupt()

    async def take_picture(self, data: bytes, request_id: str | None) -> None:
        """A picture while it streams; waits where the input is full.

        Raises:
            PictureError: it cannot be used.
        """
        metrics = self._worker.metrics
        metrics.pictures.inc()
        if self.steering.params.input_video is not None and self.steering.params.webcam_mode:
            metrics.pictures_dropped.inc()
            raise PictureError("the stream is made from input_video and takes no other pictures")
        try:
            await self._worker.in_turn(self._viewer, lambda: picture_size(data, LIVE))
        except PictureError:
            metrics.pictures_dropped.inc()
            raise
        if not self.steering.params.webcam_mode:
            self.steering.set_live()
        now = asyncio.get_running_loop().time()
        if not await self.input.put(Arrived(data, Origin(now, request_id))):
            raise PictureError(_TOO_LATE if self.input.ended else _NO_ROOM)

    def take_place(self) -> None:
        """The stream may begin: its input has a share of its own."""
        self._has_place = True
        self.input.take_place()

    def close(self) -> None:
        """It is of no use any more, nor is what came before it."""
        self.input.close()
        self.prompts.close()
        self._worker.input_room.free(self._kept)
        self._kept = 0
        if self.before is not None:
            self.before.close()

    def interrupt(self) -> None:
        """Something changed: the stream is to look again before it waits on."""
        if self.stream is not None:
            self.stream.interrupt()

    def start_over(self) -> None:
        """A reset: the latest values, and none of the pictures that came before it."""
        self._worker.metrics.pictures_dropped.inc(self.input.close())
        self.steering.start_over()
        self.input = self._new_input()
        if self.steering.ended:  # said after the reset
            self.input.end()

    async def resolved(self) -> Settings:
        """The settings of the next stream; the seed that was drawn stays in force.

        Raises:
            SettingsError: the backend cannot stream these params, or there is no room for their
                start frame.
            InputGap: the picture that says the size did not come.
            Draining: the worker shuts down while that is waited for.
        """
        params, defaults = self.steering.params, self._worker.backend.defaults
        if self._kept and not self._worker.input_room.has(0):
            raise SettingsError(
                "start_frame", "the worker holds as many pictures as it may: try again later"
            )
        first = None
        if size_follows_input(params, defaults):
            first = await self._worker.unless_draining(self.input.first())
        settings = await resolved(self._worker, self._viewer, params, first)
        self.steering.params = self.steering.params.model_copy(update={"seed": settings.seed})
        return settings

    def _new_input(self) -> InputQueue:
        config = self._worker.config
        return InputQueue(
            self.steering.params.input or "newest",
            patience=config.input_patience,
            limit=config.ready_timeout,
            on_drop=self._worker.metrics.pictures_dropped.inc,
            room=self._worker.input_room,
            has_place=self._has_place,
        )
