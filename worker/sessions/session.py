"""One viewer: the protocol's connection, an outbox, and one stream at a time on the backend.

Three tasks a session: one reads, one writes, one runs the streams. Whichever ends first ends the
session; what was already made is still sent. Knows the socket as `ViewerSocket` only.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from typing import Any

from framewire.protocol import (
    Connection,
    Error,
    ErrorCode,
    Params,
    Queued,
    Ready,
    RemoteProtocolError,
    Role,
    State,
    Steer,
    Warned,
)
from framewire.worker.backends.base import Settings, SettingsError
from framewire.worker.runtime.pictures import PictureError
from framewire.worker.runtime.retry import retry_after
from framewire.worker.runtime.settings import check_adapters
from framewire.worker.runtime.worker import Draining, Worker

from .endings import TOO_MANY, Ended, Stalled, ending_of
from .outbox import Outbox
from .pace import Pace, pace_for
from .stream import Outcome, Stream
from .under_way import UnderWay
from .viewer_files import Recording, StreamFiles, ViewerFiles, video_of, with_uploads
from .viewer_socket import ViewerSocket
from .writer import Writer

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 5.0


class Session:
    """Serves one accepted socket until it closes.

    Args:
        worker_name: sent with ready, for clients of Krea's own server.
        events: send the opt-in events; params may switch them on as well.
        envelope: send frames as msgpack maps; params may ask for it as well.
        browser: the viewer is a web page: paced, unless it says how it wants its frames.
        files: what is kept for viewers; None where nothing is.
        record: keep the frames of its streams; params may ask for it as well.
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
        browser: bool = False,
        files: ViewerFiles | None = None,
        record: bool = False,
    ) -> None:
        self.session_id = session_id or uuid.uuid4().hex
        self._worker = worker
        self._config = worker.config
        self._socket = socket
        self._worker_name = worker_name
        self._connection = Connection(Role.WORKER, envelope=envelope)
        self._browser = browser
        self._files = files
        self._record = record
        self._pace = Pace()
        self._outbox = Outbox(self._connection, self._pace, events=events)
        self._writer = Writer(worker, socket, self._outbox, self._pace)
        self._begin: asyncio.Queue[UnderWay] = asyncio.Queue(maxsize=1)
        self._under_way: UnderWay | None = None
        self._turn = object()

    async def run(self) -> None:
        """Serve until either side ends it. Raises nothing."""
        self._worker.metrics.connections.inc()
        self._outbox.say(Ready(worker=self._worker_name))
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._writer.run())
        driver = asyncio.create_task(self._drive())
        tasks = (reader, writer, driver)
        try:
            done, _ = await asyncio.wait(
                tasks,
                timeout=self._config.session_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            ending = self._ending(done)
            await _cancel((reader, driver))
            if isinstance(ending, Stalled):
                self._worker.metrics.errors.labels(ErrorCode.TIMEOUT).inc()
                logger.warning("session %s: %s", self.session_id, ending)
                self._socket.abort()
            elif isinstance(ending, Ended):
                await self._farewell(ending, writer)
        finally:
            try:
                await _cancel(tasks)
            finally:  # also where this task is cancelled meanwhile
                if self._under_way is not None:
                    self._under_way.close()
                self._worker.metrics.connections.dec()

    def _ending(self, done: set[asyncio.Task[None]]) -> Exception:
        if not done:
            limit = self._config.session_timeout
            return Ended(ErrorCode.TIMEOUT, f"a session lasts {limit:g} s at most: connect again")
        error = next(iter(done)).exception()
        return ending_of(error, self.session_id, draining=self._worker.draining.is_set())

    async def _farewell(self, end: Ended, writer: asyncio.Task[None]) -> None:
        """Send what was made, then the error, then close."""
        if not end.said:
            wait = retry_after(end.code, end.close_code)
            self._say_error(Error(code=end.code, reason=end.reason, retry_after=wait))
        self._writer.hurry()
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

    async def _read(self) -> None:
        while True:  # without names: while the next message is awaited, nothing holds the last one
            await self._take(await self._socket.receive())

    async def _take(self, data: bytes | str) -> None:
        self._worker.metrics.bytes_received.inc(len(data))
        completed = self._connection.state is State.COMPLETED
        try:
            message = self._connection.receive(data)
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        del data  # a picture may have to wait
        if isinstance(message, Params):
            await self._take_new(message)
        elif isinstance(message, Steer) and completed:
            self._take_late(message)
        elif isinstance(message, Steer):
            await self._take_steer(message)

    def _refuse(self, error: RemoteProtocolError) -> None:
        if error.reply is None:
            self._warn(error.reason)
            return
        self._say_error(error.reply)
        if error.close_code is not None:
            raise Ended(ErrorCode.BAD_MESSAGE, TOO_MANY, error.close_code, said=True)

    def _warn(self, reason: str, request_id: str | None = None) -> None:
        self._worker.metrics.errors.labels("WARNING").inc()
        self._outbox.say(Warned(reason=reason, request_id=request_id))

    def _say_error(self, error: Error) -> None:
        self._worker.metrics.errors.labels(error.code).inc()
        self._outbox.say(error)

    async def _take_new(self, params: Params) -> None:
        try:
            params = await with_uploads(params, self._files)
        except SettingsError as error:
            self._say_rejected(error)
        else:
            self._take_params(params)

    def _take_params(self, params: Params) -> None:
        self._under_way = UnderWay(self._worker, self._turn, params, self._under_way)
        merged = self._under_way.steering.params
        if merged.events is not None:
            self._outbox.events = merged.events
        if merged.record is not None:
            self._record = merged.record
        if merged.fmt is not None:
            self._connection.envelope = merged.fmt == "msgpack"
        self._pace.fps = pace_for(
            merged,
            browser=self._browser,
            events=self._outbox.events,
            page_fps=self._config.page_fps,
            preset_fps=self._worker.backend.defaults.fps,
        )
        self._begin.put_nowait(self._under_way)

    def _take_late(self, steer: Steer) -> None:
        """A map after the last frame: a reset starts over, a picture has nothing to go into."""
        assert self._under_way is not None
        steering = self._under_way.steering
        if steer.image is not None:
            self._worker.metrics.pictures_dropped.inc()
            self._warn("image: the stream is complete: start another first", steer.request_id)
        if steer.action == "reset":
            steering.add(steer.model_copy(update={"at_block": None}), 0)
            self._take_params(steering.start_over())

    async def _take_steer(self, steer: Steer) -> None:
        under_way = self._under_way
        assert under_way is not None
        if steer.image is not None:
            try:
                await under_way.take_picture(steer.image, steer.request_id)
            except PictureError as error:
                self._warn(f"image: {error}", steer.request_id)
            if self._under_way is not under_way:  # its params were refused meanwhile
                return
        try:
            check_adapters(steer.loras, self._worker.backend.defaults)
            under_way.take(steer)
        except SettingsError as error:
            self._warn(f"{error.key}: {error}", steer.request_id)
        except OverflowError as error:
            self._warn(str(error))

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
                    raise Ended(ErrorCode.TIMEOUT, f"no params within {limit:g} s")
                under_way = begin.result()
                begin = asyncio.create_task(self._begin.get())
                try:
                    await self._run_streams(under_way)
                except SettingsError as error:
                    self._reject(under_way, error)
                limit = self._config.idle_timeout
        finally:
            await _cancel((drained, begin))

    async def _run_streams(self, under_way: UnderWay) -> None:
        """One stream, and those that resets make of it, on one place."""
        settings = await under_way.resolved()
        events = self._outbox.events
        wait = self._config.session_timeout if events else self._config.queue_timeout
        async with self._worker.admission.place(
            wait, lambda position: self._outbox.say(Queued(position=position))
        ):
            under_way.take_place()
            while True:
                recording = self._recording(settings) if self._record else None
                video = video_of(under_way.steering.params, self._files)
                stream = under_way.stream = Stream(
                    self._worker,
                    self._turn,
                    self.session_id,
                    settings,
                    under_way.steering,
                    under_way.input,
                    under_way.prompts,
                    under_way.camera,
                    self._outbox,
                    StreamFiles(video, recording),
                )
                try:
                    if await stream.run() is Outcome.COMPLETED:
                        return
                finally:
                    under_way.stream = None
                    if recording is not None:
                        recording.finish()
                self._outbox.drop_frames()
                under_way.start_over()
                settings = await under_way.resolved()

    def _recording(self, settings: Settings) -> Recording | None:
        """What keeps the frames of the next stream; None, and why, where nothing does."""
        try:
            if self._files is None:
                raise ValueError("recordings are not kept here")
            return self._files.recording(self.session_id, settings.width, settings.height)
        except ValueError as error:
            self._warn(f"record: {error}")
            return None

    def _reject(self, under_way: UnderWay, error: SettingsError) -> None:
        """Params that cannot be streamed: said like any bad params, and others may be tried."""
        self._under_way, under_way.before = under_way.before, None
        under_way.close()
        self._say_rejected(error)

    def _say_rejected(self, error: SettingsError) -> None:
        detail = {"type": "value_error", "loc": [error.key], "msg": str(error)}
        reason = f"{error.key}: {error}"
        self._say_error(Error(code=ErrorCode.BAD_PARAMS, reason=reason, errors=(detail,)))
        if self._connection.exhausted:
            raise Ended(ErrorCode.BAD_PARAMS, TOO_MANY, said=True)

    def _interrupt(self, _: asyncio.Task[bool]) -> None:
        if self._worker.draining.is_set():
            self._writer.hurry()
        if self._under_way is not None:
            self._under_way.interrupt()


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
