"""A stand-in for fal's gateway: mints tokens, checks them, and hands sockets on to a real worker.

It does what the gateway was seen to do: it upgrades before it looks at anything, so that whatever
is wrong shows as a close and not as an HTTP status. Each test sets its mood.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from support.servers.stand_in import token_endpoint
from websockets.asyncio.client import connect as open_socket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ALIAS = "krea-wan-14b"
PATH = f"/fal-ai/{ALIAS}/ws"
_SECRET = "the gateway's own, which nobody else knows"


@dataclass
class Gateway:
    """A running gateway, and its mood.

    Attributes:
        worker: the WebSocket URL of the app that it serves.
        wrap: what a token is put in, as it is answered.
        life: seconds that its tokens live, whatever is asked for.
        age: seconds by which its clock is ahead.
        refuses: a close code and reason instead of the app, after the upgrade.
        cuts_after: messages from the worker after which the socket is cut; None: never.
        cuts_with: the close code of a cut; None drops the connection without a close.
        refused_tokens: how many connections came without a good token.
    """

    worker: str
    netloc: str = ""
    token_url: str = ""
    minted: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    wrap: Callable[[str], Any] = lambda token: token
    life: float = 120
    age: float = 0
    refuses: tuple[int, str] | None = None
    cuts_after: int | None = None
    cuts_with: int | None = None
    refused_tokens: int = 0

    @property
    def url(self) -> str:
        return f"ws://{self.netloc}{PATH}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client take this for fal."""
        return {"FAL_RUN_HOST": self.netloc, "FAL_KEY": "id:secret"}

    def mint(self, _: int = 0) -> Any:
        now = time.time() + self.age
        claims = {"exp": now + self.life, "iat": now, "jti": str(len(self.minted))}
        self.minted.append(jwt.encode(claims, _SECRET))
        return self.wrap(self.minted[-1])

    def is_good(self, token: str) -> bool:
        try:
            claims = jwt.decode(
                token, _SECRET, ["HS256"], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.InvalidTokenError:
            return False
        return bool(claims["exp"] > time.time() + self.age)

    async def handle(self, socket: ServerConnection) -> None:
        """One connection: upgraded already, whatever is wrong with it."""
        assert socket.request is not None
        asked = urlsplit(socket.request.path)
        token = parse_qs(asked.query).get("fal_jwt_token", [""])[0]
        if not self.is_good(token):
            self.refused_tokens += 1
            await socket.close(1008, "Unauthorized")
        elif asked.path != PATH:
            await socket.close(1011, "Error while forwarding the request")
        elif self.refuses is not None:
            await socket.close(*self.refuses)
        else:
            self.used.append(token)
            await self._forward(socket)

    async def _forward(self, socket: ServerConnection) -> None:
        async with open_socket(self.worker, compression=None) as worker:
            up = asyncio.create_task(_pump(socket, worker))
            try:
                async with asyncio.timeout(60):
                    await self._down(worker, socket)
            finally:
                up.cancel()

    async def _down(self, worker: Any, socket: ServerConnection) -> None:
        passed = 0
        with contextlib.suppress(ConnectionClosed):
            async for message in worker:
                await socket.send(message)
                passed += 1
                if passed == self.cuts_after:
                    if self.cuts_with is None:
                        socket.transport.abort()
                    else:
                        await socket.close(self.cuts_with)
                    return


async def _pump(source: Any, target: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            await target.send(message)
    await target.close()


@contextlib.asynccontextmanager
async def gateway(worker: str, *, mint_status: int = 200) -> AsyncIterator[Gateway]:
    """A gateway in front of `worker`; `mint_status` is what its token endpoint answers with."""
    running = Gateway(worker)
    async with (
        token_endpoint(running.mint, status=mint_status) as tokens,
        serve(running.handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server,
    ):
        running.token_url = tokens.url
        port = next(iter(server.sockets)).getsockname()[1]
        running.netloc = f"127.0.0.1:{port}"
        yield running
