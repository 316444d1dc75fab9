"""One stream after another over one connection: start, steer, read frames.

Talks through a `Wire` and knows neither URL nor token. A task of its own reads the wire, so that
pings, events and errors are seen while the caller is busy; the inbox bounds what piles up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import Any, Self, Unpack

from framewire.protocol import (
    BlockDone,
    Completed,
    Error,
    FromWorker,
    LocalProtocolError,
    Params,
    Queued,
    Started,
    State,
    Steer,
    Steered,
    Warned,
)
from framewire.protocol import Frame as WireFrame

from .errors import ConnectionLost, FramewireError, ServerError, StateError, error_from
from .events import OnEvent, tell
from .frames import Frame
from .inbox import Inbox
from .limits.due import FramesDue
from .limits.watchdog import Watchdog
from .live_input.feed import Feed
from .live_input.feeding import Feeding
from .live_input.pictures import Size
from .live_input.sending import sendable
from .live_input.source import Source
from .options import ImageOptions, StartOptions, SteerOptions, params_from, steer_from
from .timeline.journal import Journal
from .timeline.model import RATE, Timeline
from .timeline.moves import parts_of
from .timeline.playing import Playing
from .wire import CLOSED, Wire

logger = logging.getLogger(__name__)


class Session:
    """A connection to a worker, ready for streams. `connect` makes it.

    Attributes:
        blocks: how many were asked for; None where that was left to the worker.
        dropped: frames that `buffer="newest"` has thrown away.
        journal: what keeps it, where it is kept.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        name: str,
        inbox: Inbox,
        on_event: OnEvent | None = None,
        due: FramesDue | None = None,
        journal: Journal | None = None,
        frame_timeout: float | None = 10.0,
        first_frame_timeout: float | None = 60.0,
    ) -> None:
        self._wire = wire
        self._name = name
        self._inbox = inbox
        self._on_event = on_event
        self._watchdog = Watchdog(frame_timeout, first_frame_timeout, self._fail)
        self._due = due or FramesDue()
        self._next_index = 0
        self._size: Size | None = None  # of the stream, as far as it is known
        self._was_started = False
        self._blocks: int | None = None
        self._playing: Playing | None = None
        self._feed: Feed | None = None
        self.journal = journal
        self._is_read = False
        self._closing: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read(), name=f"read {name}")

    def __repr__(self) -> str:
        return f"<Session {self._name} {self._wire.state.value}, {self._next_index} frames>"

    @property
    def blocks(self) -> int | None:
        return self._blocks

    @property
    def dropped(self) -> int:
        return self._inbox.dropped

    async def start(self, prompt: str | None = None, **options: Unpack[StartOptions]) -> None:
        """Start a stream; frames come by iterating over the session.

        With `prompts=[("a fox", 0.7), ("a robot", 0.3)]` both are shown, blended, and the
        heaviest alone on servers that do not blend: the prompt can be left out then.

        A start frame (bytes) above 2048 pixels a side or 2 MB is scaled down, but not below the
        `width` and `height` that are given. Pillow does it: the extra `video`.

        Works again after each stream's end, and after params were refused. In a later start
        the worker keeps the values of the params that are left out.

        Raises:
            ParamsError: out of range. (What only the worker can tell raises while iterating.)
            StateError: a stream is running.
        """
        size, start_frame = _size(options), options.get("start_frame")
        if isinstance(start_frame, bytes):
            options["start_frame"] = await sendable(start_frame, "the start frame", size)
        params = params_from(prompt, options)
        self._refuse_if_over()
        if self._wire.state is State.STREAMING:
            raise StateError(
                "a stream is running", hint="read on to its end, or steer() or reset() it"
            )
        self._size = size
        self._inbox.clear()
        self._next_index = 0
        self._was_started = True
        self._watchdog.start(params)
        self._due.start(params)
        await self._send(params)

    def play(
        self,
        timeline: Timeline,
        *,
        frames: int | None = None,
        blocks: int | None = None,
        loop: bool = False,
        rate: float = RATE,
        **options: Unpack[StartOptions],
    ) -> Playing:
        """Stream a timeline; frames come by iterating over what this returns, once.

        Events and envelopes are asked for, so that changes land on their frames.

        Args:
            frames, blocks: the most that are shown and made. What has no end has as many blocks
                as the model usually makes.
            loop: go on at the start behind the end.
            rate: frames a second, by which seconds of the timeline become frames.
            options: params that override the timeline's.

        Raises:
            TimelineError: there is no frame to show.
        """
        said: dict[str, Any] = {"events": True, "fmt": "msgpack", **options}
        parts = parts_of(timeline, fps=rate, frames=frames, loop=loop)
        return self.play_parts(Playing(self, parts, said, blocks=blocks, journal=self.journal))

    def play_parts(self, playing: Playing) -> Playing:
        """Tell what is played of the events from now on."""
        self._playing = playing
        return playing

    async def steer(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> bool:
        """Change the running stream from the next block on, or from block `at_block` on.

        `prompts` are a blend, as in `start`; a prompt without them ends it.

        Returns:
            False if the stream had completed already: then nothing was sent.

        Raises:
            ParamsError: out of range.
            StateError: nothing was started.
        """
        return await self._change(steer_from(prompt=prompt, **options))

    async def reset(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> None:
        """Start over with the latest values and these; frames not read yet are dropped.

        After a stream's end it streams again: iterate once more.
        """
        message = steer_from(prompt=prompt, action="reset", **options)
        self._refuse_if_over()
        if not self._was_started:
            raise StateError("nothing to reset", hint="call start() first")
        unread = self._inbox.clear()
        if self.journal is not None:
            self.journal.leave_out(unread)
        self._due.steer(message)
        await self._send(message)
        self._watchdog.resume()

    async def send_image(self, jpeg: bytes, **options: Unpack[ImageOptions]) -> bool:
        """Send one input picture (JPEG, PNG or WebP); the first makes the stream live.

        A large one is scaled down, as start frames are.

        Returns:
            False if the stream had completed already: then nothing was sent.
        """
        jpeg = await sendable(jpeg, "a picture", self._size)
        sent = await self._change(steer_from(image=jpeg, **options))
        if sent:
            self._watchdog.sent_picture()
        return sent

    def feed(self, source: Source) -> Feeding:
        """Feed what `open_source` opened into the stream that was started, and read its frames.

        Start with `webcam_mode=True, input=source.policy`, and with `fmt="msgpack"` and
        `events=True` where the server knows them: they tell frames of one picture from another's.
        `async with session.feed(source) as feeding:` feeds, `async for frame in feeding` reads.
        """
        self._feed = Feed(source, self._size)
        return Feeding(self, self._feed)

    async def end(self) -> bool:
        """No more input: the worker finishes the block it is at, then completes."""
        return await self._change(steer_from(action="end"))

    async def close(self) -> None:
        """Close the connection; iteration ends. May be called twice."""
        self._watchdog.stop()
        self._inbox.close()
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if self._closing is None:
            self._closing = asyncio.create_task(self._wire.close())
        await asyncio.shield(self._closing)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        """The next frame; the iteration ends where the stream is complete.

        Raises:
            ServerError: the server reports a failure.
            StallError: no frame for `frame_timeout` seconds.
            ConnectionLost: the connection ended before the stream did.
            StateError: nothing was started, or another task waits for a frame: it would get some
                of the frames, and one of the two would never learn of the stream's end.
        """
        if self._is_read:
            raise StateError(
                "another task is reading this session",
                hint="read in one task and hand the frames on",
            )
        idle = self._inbox.is_empty and self._wire.state is not State.STREAMING
        if idle and self._inbox.failure is None:
            if not self._was_started:
                raise StateError("no stream to read", hint="call start() first")
            raise StopAsyncIteration
        self._is_read = True
        try:
            frame = await self._inbox.get()
        finally:
            self._is_read = False
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _change(self, message: Steer) -> bool:
        self._refuse_if_over()
        if self._wire.state is State.COMPLETED:
            # Sent now, a prompt would start a stream that nobody reads.
            logger.info("%s: not sent, the stream has completed", self._name)
            return False
        self._due.steer(message)
        await self._send(message)
        return True

    async def _send(self, message: Params | Steer) -> None:
        self._blocks = message.num_blocks or self._blocks
        try:
            await self._wire.send(message)
        except LocalProtocolError as error:
            raise StateError(str(error), hint="call start() first") from error
        except CLOSED as error:
            # The server may have said why just before; that tells more than the close.
            await asyncio.wait([self._reading], timeout=1.0)
            raise self._inbox.failure or error from None

    def _refuse_if_over(self) -> None:
        if self._inbox.failure is not None:
            raise self._inbox.failure
        if self._reading.done():
            raise StateError("the session is closed", hint="connect anew")

    async def _read(self) -> None:
        try:
            while self._inbox.failure is None:
                await self._take(await self._wire.receive())
        except FramewireError as error:
            ended = isinstance(error, ConnectionLost) and self._wire.state is State.COMPLETED
            (logger.debug if ended else logger.info)("%s: %s", self._name, error)
            self._inbox.fail(error)
        except Exception as error:
            logger.exception("%s: reading failed", self._name)
            self._inbox.fail(ConnectionLost(f"reading failed: {type(error).__name__}"))
        finally:
            self._watchdog.stop()

    async def _take(self, message: FromWorker) -> None:
        self._watchdog.heard(message)
        match message:
            case WireFrame():
                await self._take_frame(message)
            case Completed():
                self._end_stream()
            case Error() if message.ends_session:
                self._fail(error_from(message))
            case Error():
                self._end_stream(error_from(message))
            case Queued() | Started() | BlockDone() | Steered() | Warned():
                if isinstance(message, BlockDone):
                    self._due.learn(message)
                if isinstance(message, Started):
                    self._size = message.width, message.height
                if self._playing is not None:
                    self._playing.saw_event(message)
                if self._feed is not None:
                    self._feed.saw_event(message)
                tell(self._on_event, message)
            case _:
                logger.debug("%s: not understood: %r", self._name, message)

    def _end_stream(self, error: FramewireError | None = None) -> None:
        self._watchdog.stop()
        if not self._inbox.end_stream(error):
            self._fail(
                ServerError("the server goes on ending streams", code="TOO_MANY_ENDS", hint="")
            )

    async def _take_frame(self, message: WireFrame) -> None:
        try:
            self._due.take()
        except ServerError as error:
            self._fail(error)
            return
        index = self._next_index if message.index is None else message.index
        self._next_index = index + 1
        frame = Frame(
            index=index,
            block=message.block,
            jpeg=message.jpeg,
            received_at=time.monotonic(),
            request_id=message.request_id,
            prompt_version=message.prompt_version,
        )
        self._watchdog.resume()
        self._watchdog.hold()
        try:
            await self._inbox.put(frame)
        finally:
            self._watchdog.release()

    def _fail(self, error: FramewireError) -> None:
        self._inbox.fail(error)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_failed())

    async def _close_failed(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._wire.close()


def _size(options: StartOptions) -> Size | None:
    """Of the stream, where it is asked for."""
    width, height = options.get("width"), options.get("height")
    return None if width is None or height is None else (width, height)
