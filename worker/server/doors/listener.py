"""Accepts connections, and closes at once those that there is no room for.

Nothing is opened for a refused one: no protocol, no TLS. Where the system has no descriptor left it
waits, in silence but for a line a minute; asyncio's own server would try again, and log, without end.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from socket import socket

from .callers import Callers, Visit
from .refusals import Reason, Refusals, Refused

logger = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that the system holds until they are accepted."""
IN_A_ROW = 32
PAUSE_SECONDS = 1.0
TLS_SECONDS = 10.0
TLS_GOODBYE_SECONDS = 5.0


class Listener:
    """One bound address; has the methods that uvicorn asks of asyncio's servers.

    Args:
        protocol: makes what speaks with a connection.

    Raises:
        OSError: another server listens there already.
    """

    def __init__(
        self,
        bound: socket,
        callers: Callers,
        refusals: Refusals,
        protocol: Callable[[Visit], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        bound.setblocking(False)
        bound.listen(BACKLOG)
        self.sockets = [bound]
        self._callers = callers
        self._refusals = refusals
        self._protocol = protocol
        self._tls = tls
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept_all(bound))

    def close(self) -> None:
        """Accept no more; who has not come through TLS yet is dropped."""
        for task in (self._accepting, *self._connecting):
            task.cancel()
        self.sockets[0].close()

    async def wait_closed(self) -> None:
        """Return once nothing is accepted any more."""
        await asyncio.wait([self._accepting, *self._connecting])

    async def _accept_all(self, bound: socket) -> None:
        loop, in_a_row = asyncio.get_running_loop(), 0
        while True:
            try:
                opened, address = await loop.sock_accept(bound)
            except ConnectionError:
                continue
            except OSError as error:  # no descriptor or no memory is left
                self._refusals.refused(Reason.CONNECTIONS, str(error), None)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            try:
                self._let_in(opened, address)
            except Refused:
                opened.close()
            except Exception:  # of one caller: the next ones are none the worse
                logger.exception("a connection was dropped")
                opened.close()
            in_a_row += 1
            if in_a_row % IN_A_ROW == 0:
                await asyncio.sleep(0)  # many at once do not keep the others waiting

    def _let_in(self, opened: socket, address: tuple[str, int]) -> None:
        visit = self._callers.arrive(address[0], address[1])
        task = asyncio.create_task(self._connect(opened, visit))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, opened: socket, visit: Visit) -> None:
        limits = {}
        if self._tls is not None:
            limits = {
                "ssl_handshake_timeout": TLS_SECONDS,
                "ssl_shutdown_timeout": TLS_GOODBYE_SECONDS,
            }
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(visit), opened, ssl=self._tls, **limits
            )
        except OSError:  # gone, or no TLS within its time
            visit.leave()
        except BaseException:
            visit.leave()
            raise
