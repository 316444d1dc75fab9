"""One viewer: the protocol's connection, an outbox, and one stream at a time on the backend.

Three tasks a session: one reads, one writes, one runs the streams. Whichever ends first ends the
session; what was already made is still sent. Knows the socket as `ViewerSocket` only.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable
from typing import Any

from framewire.protocol import (
    CLOSE_CODES,
    CloseCode,
    Completed,
    Connection,
    Error,
    ErrorCode,
    Event,
    Frame,
    Message,
    Params,
    Queued,
    Ready,
    RemoteProtocolError,
    Role,
    State,
    Steer,
    Warned,
)
from framewire.protocol.steering import Steering
from framewire.worker.backends.base import CapacityError, Settings, SettingsError
from framewire.worker.runtime.admission import Full
from framewire.worker.runtime.lane import LaneStuck
from framewire.worker.runtime.pictures import PictureError, picture_size
from framewire.worker.runtime.settings import resolve_settings, size_follows_input
from framewire.worker.runtime.worker import Draining, Worker

from .input_queue import Arrived, InputGap, InputQueue
from .outbox import Outbox
from .stream import Outcome, Stream
from .viewer_socket import Disconnected, ViewerSocket

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 5.0
_TOO_MANY = "too many messages in a row that are no params"
_DRAINING = "the worker is shutting down: connect again"


class _Stalled(Exception):
    """The viewer has not read for longer than it may."""


class _Ended(Exception):
    """The session is over: what to say (nothing where it was said already) and how to close."""

    def __init__(
        self,
        code: ErrorCode,
        reason: str,
        close_code: CloseCode | None = None,
        *,
        said: bool = False,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.close_code = CLOSE_CODES[code] if close_code is None else close_code
        self.said = said


class Session:
    """Serves one accepted socket until it closes.

    Args:
        worker_name: sent with ready, for clients of Krea's own server.
        events: send the opt-in events; params may switch them on as well.
        envelope: send frames as msgpack maps; params may ask for it as well.
    """

    def __init__(
        self,
        worker: Worker,
        socket: ViewerSocket,
        *,
        session_id: str | None = None,
        worker_name: str | None = None,
        events: bool = False,
        envelope: bool = False,
    ) -> None:
        self.session_id = session_id or uuid.uuid4().hex
        self._worker = worker
        self._config = worker.config
        self._socket = socket
        self._worker_name = worker_name
        self._events = events
        self._connection = Connection(Role.WORKER, envelope=envelope)
        self._outbox = Outbox()
        self._begin: asyncio.Queue[None] = asyncio.Queue(maxsize=1)
        self._steering: Steering | None = None
        self._before: Steering | None = None
        self._inlet: InputQueue | None = None
        self._stream: Stream | None = None
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Serve until either side ends it. Raises nothing."""
        self._worker.metrics.connections.inc()
        self.say(Ready(worker=self._worker_name))
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        driver = asyncio.create_task(self._drive())
        tasks = (reader, writer, driver)
        try:
            done, _ = await asyncio.wait(
                tasks,
                timeout=self._config.session_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            cause = self._cause(done)
            await _cancel((reader, driver))
            if isinstance(cause, _Stalled):
                self._worker.metrics.errors.labels(ErrorCode.TIMEOUT).inc()
                logger.warning("session %s: %s", self.session_id, cause)
                self._socket.abort()
            elif isinstance(cause, _Ended):
                await self._farewell(cause, writer)
        finally:
            await _cancel(tasks)
            self._worker.metrics.connections.dec()

    def say(self, message: Message) -> None:
        """Put a message in the outbox; an event only where they are on."""
        optional = isinstance(message, Event)
        if optional and not self._events:
            return
        if isinstance(message, Error):
            self._worker.metrics.errors.labels(message.code).inc()
        elif isinstance(message, Completed):
            self._stream = None
            self._end_input()
        self._outbox.put(self._connection.send(message), optional=optional)

    def encode(self, frame: Frame) -> bytes | str:
        """A frame as it goes over the wire."""
        return self._connection.send(frame)

    def _cause(self, done: set[asyncio.Task[None]]) -> BaseException:
        """Why the session ends, in words where the viewer should be told."""
        if not done:
            limit = self._config.session_timeout
            return _Ended(ErrorCode.TIMEOUT, f"a session lasts {limit:g} s at most: connect again")
        for task in done:
            error = task.exception()
            match error:
                case Disconnected() | _Stalled() | _Ended():
                    return error
                case Draining():
                    return _Ended(ErrorCode.AT_CAPACITY, _DRAINING, CloseCode.RESTART)
                case Full() if self._worker.draining.is_set():
                    return _Ended(ErrorCode.AT_CAPACITY, _DRAINING, CloseCode.RESTART)
                case Full() | CapacityError():
                    return _Ended(ErrorCode.AT_CAPACITY, str(error))
                case InputGap():
                    return _Ended(ErrorCode.TIMEOUT, str(error))
                case LaneStuck():
                    return _Ended(ErrorCode.INTERNAL_ERROR, "the backend hangs")
        logger.error("session %s failed", self.session_id, exc_info=error)
        return _Ended(ErrorCode.INTERNAL_ERROR, "the stream failed; the worker's log says why")

    async def _farewell(self, end: _Ended, writer: asyncio.Task[None]) -> None:
        """Send what was made, then the error, then close."""
        if not end.said:
            self.say(Error(code=end.code, reason=end.reason))
        self._hurry.set()
        sent = asyncio.create_task(self._outbox.empty())
        await asyncio.wait(
            (sent, writer), timeout=FAREWELL_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        unsent = not sent.done()
        await _cancel((sent, writer))
        if unsent:
            self._socket.abort()
        else:
            await self._socket.close(end.close_code, end.reason)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        metrics = self._worker.metrics
        due = 0.0
        while True:
            item = await self._outbox.head()
            fps = self._steering.params.fps if self._steering else None
            if item.is_frame and fps:
                due = max(due + 1 / fps, loop.time())
                await self._pause(due - loop.time())
                if not self._outbox.holds(item):
                    continue
            try:
                async with asyncio.timeout(self._config.stall_timeout):
                    await self._socket.send(item.data)
            except TimeoutError:
                raise _Stalled(f"nothing read for {self._config.stall_timeout:g} s") from None
            self._outbox.sent(item)
            metrics.bytes_sent.inc(len(item.data))
            metrics.frames.inc(item.is_frame)
            if item.ends_block and item.ready_at is not None:
                metrics.observe("delivery", time.perf_counter() - item.ready_at)

    async def _pause(self, seconds: float) -> None:
        """Keep a paced stream's time, unless the session ends and its frames are still to go."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _read(self) -> None:
        while True:
            data = await self._socket.receive()
            self._worker.metrics.bytes_received.inc(len(data))
            completed = self._connection.state is State.COMPLETED
            try:
                message = self._connection.receive(data)
            except RemoteProtocolError as error:
                self._refuse(error)
                continue
            if isinstance(message, Params):
                self._take_params(message)
            elif isinstance(message, Steer) and completed:
                self._take_late(message)
            elif isinstance(message, Steer):
                await self._take_steer(message)

    def _refuse(self, error: RemoteProtocolError) -> None:
        if error.reply is None:
            self._warn(error.reason)
            return
        self.say(error.reply)
        if error.close_code is not None:
            raise _Ended(ErrorCode.BAD_MESSAGE, _TOO_MANY, error.close_code, said=True)

    def _warn(self, reason: str) -> None:
        self._worker.metrics.errors.labels("WARNING").inc()
        self.say(Warned(reason=reason))

    def _take_params(self, params: Params) -> None:
        merged = params.over(self._steering.params) if self._steering else params
        if merged.events is not None:
            self._events = merged.events
        if merged.fmt is not None:
            self._connection.envelope = merged.fmt == "msgpack"
        self._before, self._steering = self._steering, Steering(merged, self._steering)
        self._inlet = self._new_inlet(merged)
        self._begin.put_nowait(None)

    def _new_inlet(self, params: Params) -> InputQueue:
        return InputQueue(
            params.input or "newest",
            patience=self._config.input_patience,
            limit=self._config.ready_timeout,
            on_drop=self._worker.metrics.pictures_dropped.inc,
        )

    def _take_late(self, steer: Steer) -> None:
        """A map after the last frame: a reset starts over, a picture has nothing to go into."""
        assert self._steering is not None
        if steer.image is not None:
            self._worker.metrics.pictures_dropped.inc()
        if steer.action == "reset":
            self._steering.add(steer.model_copy(update={"at_block": None}), 0)
            self._take_params(self._steering.start_over())

    async def _take_steer(self, steer: Steer) -> None:
        steering = self._steering
        assert steering is not None
        if steer.image is not None:
            await self._take_picture(steer, steer.image, steering)
            if self._steering is not steering:  # its params were refused meanwhile
                return
        try:
            steering.add(steer, self._stream.block if self._stream else 0)
        except OverflowError as error:
            self._warn(str(error))
        if steering.ended:
            self._end_input()
        if self._stream is not None:
            self._stream.interrupt()

    async def _take_picture(self, steer: Steer, data: bytes, steering: Steering) -> None:
        self._worker.metrics.pictures.inc()
        inlet = self._inlet
        assert inlet is not None
        try:
            await self._worker.on_codec(lambda: picture_size(data))
        except PictureError as error:
            self._worker.metrics.pictures_dropped.inc()
            self._warn(f"image: {error}")
            return
        if not steering.params.webcam_mode:
            steering.set_live()
        now = asyncio.get_running_loop().time()
        await inlet.put(Arrived(data, now, steer.request_id))

    async def _drive(self) -> None:
        """Run one stream after the other; between them, wait for params or a drain."""
        limit = self._config.ready_timeout
        drained = asyncio.create_task(self._worker.draining.wait())
        drained.add_done_callback(self._interrupt)
        begin = asyncio.create_task(self._begin.get())
        try:
            while True:
                await asyncio.wait(
                    (begin, drained), timeout=limit, return_when=asyncio.FIRST_COMPLETED
                )
                if drained.done():
                    raise Draining
                if not begin.done():
                    raise _Ended(ErrorCode.TIMEOUT, f"no params within {limit:g} s")
                begin = asyncio.create_task(self._begin.get())
                try:
                    await self._run_streams()
                except SettingsError as error:
                    self._reject(error)
                limit = self._config.idle_timeout
        finally:
            await _cancel((drained, begin))

    async def _run_streams(self) -> None:
        """One stream, and those that resets make of it, on one place."""
        settings = await self._resolve_settings()
        wait = self._config.session_timeout if self._events else self._config.queue_timeout
        async with self._worker.admission.place(
            wait, lambda position: self.say(Queued(position=position))
        ):
            while True:
                assert self._steering is not None and self._inlet is not None
                stream = self._stream = Stream(
                    self._worker, settings, self._steering, self._inlet, self._outbox, self
                )
                try:
                    if await stream.run() is Outcome.COMPLETED:
                        return
                finally:
                    if self._stream is stream:
                        self._stream = None
                self._outbox.drop_frames()
                self._inlet.end()
                self._inlet = self._new_inlet(self._steering.start_over())
                if self._steering.ended:  # said after the reset
                    self._end_input()
                settings = await self._resolve_settings()

    async def _resolve_settings(self) -> Settings:
        """The settings of the next stream; the seed that was drawn stays in force."""
        steering = self._steering
        assert steering is not None
        params, defaults = steering.params, self._worker.backend.defaults
        first = await self._first_picture() if size_follows_input(params, defaults) else None
        settings = await self._worker.on_codec(lambda: resolve_settings(params, defaults, first))
        steering.params = steering.params.model_copy(update={"seed": settings.seed})
        return settings

    async def _first_picture(self) -> bytes | None:
        """The first live picture, for its size."""
        assert self._inlet is not None
        picture = asyncio.create_task(self._inlet.first())
        drained = asyncio.create_task(self._worker.draining.wait())
        try:
            await asyncio.wait((picture, drained), return_when=asyncio.FIRST_COMPLETED)
            if not picture.done():
                raise Draining
            return picture.result()
        finally:
            await _cancel((picture, drained))

    def _reject(self, error: SettingsError) -> None:
        """Params that cannot be streamed: said like any bad params, and others may be tried."""
        self._steering = self._before
        self._end_input()
        detail = {"type": "value_error", "loc": [error.key], "msg": str(error)}
        reason = f"{error.key}: {error}"
        self.say(Error(code=ErrorCode.BAD_PARAMS, reason=reason, errors=(detail,)))
        if self._connection.exhausted:
            raise _Ended(ErrorCode.BAD_PARAMS, _TOO_MANY, said=True)

    def _end_input(self) -> None:
        """No picture will be taken: who waits to put one would wait for ever."""
        if self._inlet is not None:
            self._inlet.end()

    def _interrupt(self, _: asyncio.Task[bool]) -> None:
        if self._worker.draining.is_set():
            self._hurry.set()
        if self._stream is not None:
            self._stream.interrupt()


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
