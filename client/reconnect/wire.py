"""A `Wire` that outlives its connections: when one is lost in mid stream, it opens the next.

Owns when; whether is the policy's (`policy`), what to ask of the new worker is the replay's.
All mending happens in `receive`: what is sent meanwhile is noted, and sent with the replay.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence

from framewire.client.errors import (
    LARGE_MESSAGE,
    ConnectionLost,
    FramewireError,
    error_from,
)
from framewire.client.events import OnEvent, Reconnected, Reconnecting, tell
from framewire.client.limits.watchdog import Watchdog
from framewire.client.wire import CLOSED, Wire
from framewire.protocol import (
    Completed,
    Error,
    Frame,
    FromWorker,
    LocalProtocolError,
    Params,
    State,
    Steer,
)
from framewire.protocol.states import TRANSITIONS, kind_of

from .policy import Reconnect, Redirect, is_worth_retrying
from .replay import Replay

logger = logging.getLogger(__name__)

Reopen = Callable[[Redirect | None], Awaitable[Wire]]
"""Opens a wire with a fresh token, there from now on if it is given a redirect."""


_BREAKS_ON_SIZE = 2


class ReconnectingWire:
    """A `Wire` over one connection after another.

    A connection that is lost while no stream runs is opened anew by the next start.

    Args:
        wire: the first connection, just opened.
        reopen: opens the next ones.
        on_event: told of `Reconnecting` and `Reconnected`.
        on_left_out: told of each frame that is one more than was asked for.
        frame_timeout, first_frame_timeout: seconds of silence after which a connection is given
            up, as in `connect`. Time in which nobody receives does not count.
    """

    def __init__(
        self,
        wire: Wire,
        reopen: Reopen,
        policy: Reconnect,
        *,
        on_event: OnEvent | None = None,
        on_left_out: Callable[[], None] | None = None,
        frame_timeout: float | None = 10.0,
        first_frame_timeout: float | None = 60.0,
    ) -> None:
        self._wire: Wire | None = wire
        self._reopen = reopen
        self._policy = policy
        self._on_event = on_event
        self._on_left_out = on_left_out
        self._state = wire.state
        self._replay = Replay()
        self._watchdog = Watchdog(frame_timeout, first_frame_timeout, self._break)
        self._watchdog.hold()
        self._sending = asyncio.Lock()  # a replay comes before what is sent during it
        self._wanted = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._broken: FramewireError | None = None
        self._cause: FramewireError = ConnectionLost("the connection was lost")
        self._had_frames = False
        self._attempt = 0
        self._broke_on_size = 0  # times in a row
        self._lost_at: float | None = None
        self._closings: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> State:
        return self._state

    async def send(self, message: Params | Steer) -> None:
        async with self._sending:
            kind = kind_of(message)
            if kind not in TRANSITIONS[self._state]:
                raise LocalProtocolError(f"{kind.value} while {self._state.value}")
            sent: Sequence[Params | Steer]
            if isinstance(message, Params):
                sent = [self._replay.start(message)]
            else:
                sent = self._replay.change(message)
            self._state = TRANSITIONS[self._state][kind]
            wire = self._wire
            if wire is None:
                self._wanted.set()
                return
            self._watch(message)
            try:
                for one in sent:
                    await wire.send(one)
            except CLOSED as error:
                if wire is self._wire:
                    self._break(error)  # receive() replays it

    def _watch(self, message: Params | Steer) -> None:
        """Something is sent: from here on silence may be a stall."""
        if isinstance(message, Params):
            self._watchdog.start(message)
        elif message.action == "reset":
            self._watchdog.resume()
        elif message.image is not None:
            self._watchdog.sent_picture()

    async def receive(self) -> FromWorker:
        self._watchdog.release()
        try:
            while True:
                message = await (self._mended() if self._wire is None else self._next(self._wire))
                if message is not None:
                    return message
        finally:
            self._watchdog.hold()

    async def close(self) -> None:
        self._watchdog.stop()
        self._drop_wire()
        if self._closings:
            await asyncio.wait(self._closings)

    async def _next(self, wire: Wire) -> FromWorker | None:
        """What this connection says next; None where it is of no interest to the caller."""
        try:
            async with asyncio.timeout(0 if self._broken else None) as self._scope:
                message = await wire.receive()
        except CLOSED as error:
            self._lose(self._broken or error)
        except TimeoutError:
            assert self._broken is not None, "nothing else ends the scope"
            self._lose(self._broken)
        else:
            if isinstance(message, Error) and message.ends_session:
                said = error_from(message)
                if not is_worth_retrying(said, had_frames=self._had_frames):
                    self._state = State.FAILED
                    return message
                self._lose(said)
            else:
                self._state = wire.state
                return self._took(message)
        finally:
            self._scope = None
        return None

    def _took(self, message: FromWorker) -> FromWorker | None:
        self._watchdog.heard(message)
        if isinstance(message, Frame):
            self._watchdog.resume()
            self._had_frames, self._attempt, self._lost_at = True, 0, None
        elif isinstance(message, Completed | Error):
            self._watchdog.stop()
        taken = self._replay.take(message)
        if taken is None and isinstance(message, Frame) and self._on_left_out is not None:
            self._on_left_out()
        return taken

    def _break(self, error: FramewireError) -> None:
        """Give the connection up, once what it has already delivered was read."""
        self._broken = self._broken or error
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    def _lose(self, cause: FramewireError) -> None:
        """The connection has ended; raises `cause` where another one would not do better."""
        self._drop_wire()
        self._watchdog.stop()
        self._cause, self._broken = cause, None
        self._check_size(cause)
        streaming = self._state is State.STREAMING
        if streaming:
            self._replay.lost()
        if streaming and self._replay.is_clip and not self._replay.is_over:
            raise cause
        if not is_worth_retrying(cause, had_frames=self._had_frames):
            raise cause
        if not streaming:
            logger.info("lost between streams: %s", cause)
            self._wanted.clear()

    def _check_size(self, cause: FramewireError) -> None:
        """Give up where connections break right after a large message, which the next one would
        have to carry as well."""
        is_size = isinstance(cause, ConnectionLost) and cause.unanswered >= LARGE_MESSAGE
        self._broke_on_size = self._broke_on_size + 1 if is_size else 0
        if self._broke_on_size >= _BREAKS_ON_SIZE:
            logger.info("gave up: %d breaks right after a large message", self._broke_on_size)
            raise ConnectionLost(f"{cause.reason}, {self._broke_on_size} times", hint=cause.hint)

    def _drop_wire(self) -> None:
        if self._wire is not None:
            closing = asyncio.create_task(self._wire.close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)
            self._wire = None

    async def _mended(self) -> FromWorker | None:
        """One attempt to have a connection again, once one is needed."""
        if self._state is not State.STREAMING:
            await self._wanted.wait()
        if self._replay.is_over:
            # Only the worker's word for it was lost.
            self._state = State.COMPLETED
            self._wanted.clear()
            self._attempt, self._lost_at = 0, None
            return self._replay.take(Completed())
        now = asyncio.get_running_loop().time()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if self._attempt >= self._policy.attempts:
            logger.info("gave up after %d attempts", self._attempt)
            raise self._cause
        give_up_at = self._lost_at + self._policy.give_up_after
        if now + (self._cause.retry_after or 0) >= give_up_at:
            logger.info("gave up: not wanted back within %g s", self._policy.give_up_after)
            raise self._cause
        self._attempt += 1
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._try(self._lost_at)
        except TimeoutError:
            logger.info("gave up after %g s", self._policy.give_up_after)
            raise self._cause from None
        except FramewireError as error:
            if not is_worth_retrying(error, had_frames=True):
                raise
            self._cause = error
            self._check_size(error)
        return None

    async def _try(self, lost_at: float) -> None:
        """Ask, wait, open, replay.

        Raises:
            FramewireError: it failed, or the hook gave up.
        """
        delay = self._policy.delay(self._attempt, self._cause.retry_after)
        event = Reconnecting(self._attempt, delay, self._cause, self._replay.frames)
        logger.info("%s; attempt %d in %.1f s", self._cause, self._attempt, delay)
        tell(self._on_event, event)
        answer = self._policy.on_reconnecting and self._policy.on_reconnecting(event)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is False:
            self._attempt = self._policy.attempts
            raise self._cause
        await asyncio.sleep(delay)
        wire = await self._reopen(answer if isinstance(answer, Redirect) else None)
        try:
            await self._resume(wire)
        except BaseException:
            self._watchdog.stop()
            await wire.close()
            raise
        seconds = asyncio.get_running_loop().time() - lost_at
        tell(self._on_event, Reconnected(self._attempt, seconds, self._replay.frames))

    async def _resume(self, wire: Wire) -> None:
        async with self._sending:
            params, steers = self._replay.requests()
            self._watchdog.start(params)
            if self._replay.has_picture:
                self._watchdog.sent_picture()
            await wire.send(params)
            for steer in steers:
                await wire.send(steer)
            self._wire, self._state, self._had_frames = wire, wire.state, False
