"""uvicorn's websocket connection with what it lacks: bounds, time limits, and a way to drop a viewer.

What a caller without a token can hold here, and for how long, is listed in this folder's README.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.transports import BaseTransport
from collections.abc import Generator
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.streams import StreamReader

from framewire.worker.server.caller_limits import VISIT_EXTENSION
from framewire.worker.server.doors.callers import Visit
from framewire.worker.server.doors.half_messages import HalfMessages
from framewire.worker.server.starlette_socket import ABORT_EXTENSION

SEND_BUFFER_BYTES = 256 * 1024
LINGER_SECONDS = 2.0
QUIET_SECONDS = 0.2
HANDSHAKE_SECONDS = 8.0
"""For an upgrade to be answered, from its head on."""
MESSAGE_SECONDS = 30.0
"""From a message's first byte to its last, while the worker reads."""
REPLY_BYTES = 256
"""More than the answer to a close has, which is all that is read after one."""
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 36\r\n"
    b"Content-Type: text/plain\r\n\r\nThis is no valid websocket upgrade.\n"
)


class FrameReader(StreamReader):
    """The parser's buffer, which knows whether the parser is between two frames."""

    between_frames = True

    def at_eof(self) -> Generator[None, None, bool]:
        """What the parser asks before each frame."""
        self.between_frames = True
        ended = yield from super().at_eof()
        self.between_frames = False
        return ended


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's websocket with bounds on what it holds for a viewer, an abort and a kinder end.

    Its kernel buffer is small, for video that waits there is stale.
    """

    _linger_until = 0.0
    _heard_at = 0.0
    _half_timer: asyncio.TimerHandle | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        visit: Visit,
        half_messages: HalfMessages,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._visit = visit
        self._half_messages = half_messages
        self._reader = self.conn.reader = FrameReader()
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)  # as the protocol itself starts it

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.client = self._visit.client
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.loop.call_later(HANDSHAKE_SECONDS, self._handshake_is_due)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._let_go()
        self._visit.leave()

    def _handshake_is_due(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions |= {ABORT_EXTENSION: self.transport.abort, VISIT_EXTENSION: self._visit}
            self.read_paused = True  # nothing is read before the app has looked at who calls
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        """Answer, but not a viewer that does not read: its pongs would pile up."""
        pongs = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))

    def handle_cont(self, event: Frame) -> None:
        """Put the parts together as they come: many small ones would take far more than they have."""
        whole: Any = self.frames[0]
        if not isinstance(whole, bytearray):
            whole = bytearray(whole)
            self.frames = [whole]
        whole += event.data
        if event.fin:
            self.frames = [bytes(whole)]
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Refuse a text that is none, in words; it is the sender's fault and not worth a traceback."""
        is_text = self.curr_msg_data_type == "text" and not self.close_sent
        if is_text and not _is_utf8(b"".join(self.frames)):
            self.give_up(1007, "a TEXT message that is not UTF-8")
            return
        super().send_receive_event_to_app()

    def handle_events(self) -> None:
        came = bool(self.conn.events)
        super().handle_events()
        if came and not self.frames:
            self._count_no_half()

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if self._half_timer is not None and not self.read_paused:
            self._watch_half()  # while nothing was read, its sender could not send
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.close_sent and self._held > REPLY_BYTES:
            self._drop_the_rest()

    def give_up(self, code: int, reason: str) -> None:
        """Close, and let go of the part of a message that has come."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(code, reason)
        self._let_go()
        self.handle_parser_exception()

    @property
    def _held(self) -> int:
        """Bytes of a message, or of a frame, that is not whole."""
        return len(self._reader.buffer) + sum(map(len, self.frames))

    def _count_half(self) -> None:
        if self._reader.between_frames and not self.frames:
            self._count_no_half()
            return
        if self._half_timer is None:
            self._watch_half()
        self._half_messages.hold(self, self._visit.caller, self._held)

    def _count_no_half(self) -> None:
        if self._half_timer is not None:
            self._half_timer.cancel()
            self._half_timer = None
            self._half_messages.release(self)

    def _watch_half(self) -> None:
        if self._half_timer is not None:
            self._half_timer.cancel()
        self._half_timer = self.loop.call_later(MESSAGE_SECONDS, self._half_is_due)

    def _half_is_due(self) -> None:
        if self.read_paused:
            self._watch_half()
            return
        reason = f"a message was not whole {MESSAGE_SECONDS:g} s after its first byte"
        self._half_messages.too_late(self._visit.caller, reason)
        self.give_up(1008, reason)

    def _let_go(self) -> None:
        self._count_no_half()
        self._reader.discard()
        self.frames = []

    def _drop_the_rest(self) -> None:
        """Read on after a close, so that it is seen, but keep nothing of it."""
        self._let_go()
        self._linger_until = self.loop.time() + self.close_timeout
        self._linger()

    def handle_parser_exception(self) -> None:
        """Say why (too large, say) and read on for a moment, dropping what comes.

        A socket that is closed with data unread resets the connection, and a viewer that is still
        sending would never see the close code.
        """
        close = self.conn.close_sent
        self._let_go()
        if close is None:
            self.transport.close()
        if self.close_sent or close is None:
            return
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": close.code, "reason": close.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._linger_until = self.loop.time() + LINGER_SECONDS
        self._linger()

    def keepalive_timeout(self) -> None:
        """Cut a viewer that is silent, but not one whose pong waits unread behind its pictures."""
        if self.read_paused or self._heard_at > self.ping_sent_at:
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        if self._linger_until:
            self._linger()
            return
        if self.close_sent and self._held + len(data) > REPLY_BYTES:
            self._drop_the_rest()
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_complete:
            self._refuse_handshake()
        elif not self.close_sent:
            self._count_half()

    def shutdown(self) -> None:
        """Nothing is said to who was answered already: the parser is past saying it."""
        if self.conn.handshake_exc is None:
            super().shutdown()
        else:
            self.transport.close()

    def _refuse_handshake(self) -> None:
        """Answer an upgrade that HTTP's parser took and the websocket's did not.

        The parser's own refusal, such as 414 or 431, is waiting to be sent; there is none for a
        request that it found no name for.
        """
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
        self._linger_until = self.loop.time() + LINGER_SECONDS
        self._linger()

    def _linger(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        quiet = min(self._linger_until, self.loop.time() + QUIET_SECONDS)
        self.close_timer = self.loop.call_at(quiet, self.transport.close)
