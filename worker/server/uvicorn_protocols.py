"""uvicorn's connections with what they lack: time limits, small buffers and a way to drop a viewer.

What a caller without a token can hold here, and for how long: a connection that sends no whole
request head for `HEAD_SECONDS`, one whose body does not come for `BODY_SECONDS`, and an upgrade that
the websocket parser refused or the app did not answer for `HANDSHAKE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.transports import BaseTransport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from .websocket import ABORT_EXTENSION

SEND_BUFFER_BYTES = 256 * 1024
LINGER_SECONDS = 2.0
QUIET_SECONDS = 0.2
HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0
"""For the first line and headers of a request to come, and from then on for its body."""
HANDSHAKE_SECONDS = 8.0
"""For an upgrade to be answered, from its head on."""
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 36\r\n"
    b"Content-Type: text/plain\r\n\r\nThis is no valid websocket upgrade.\n"
)


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP with a time limit for requests: it would wait for one for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        self.loop.call_later(HEAD_SECONDS, self._head_is_due, self.cycle)

    def _head_is_due(self, before: object) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.cycle is before:
            self.transport.abort()
        elif self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(BODY_SECONDS, self._body_is_due, self.cycle)

    def _body_is_due(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's websocket with small kernel buffers (stale video), an abort and a kinder end."""

    _linger_until = 0.0
    _heard_at = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.loop.call_later(HANDSHAKE_SECONDS, self._handshake_is_due)

    def _handshake_is_due(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][ABORT_EXTENSION] = self.transport.abort  # type: ignore[assignment]

    def handle_parser_exception(self) -> None:
        """Say why (too large, say) and read on for a moment, dropping what comes.

        A socket that is closed with data unread resets the connection, and a viewer that is still
        sending would never see the close code.
        """
        close = self.conn.close_sent
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
        else:
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.handshake_complete:
                self._refuse_handshake()

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
