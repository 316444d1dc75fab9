"""`serve --fal` to test against, and a loopback server that plays fal's hosts behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from support.servers.worker_server import PATIENCE, listening

from framewire.protocol import AppId
from framewire.worker.config import Config
from framewire.worker.server.hosted.app import create_hosted_app
from framewire.worker.server.hosted.fal import HOSTS, Fal

APP = "fal-ai/krea-wan-14b"
FAL_KEY = "the-key-id:the-key-secret"
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


@dataclass
class Asked:
    """A request that came to fal."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FalHosts:
    """All of fal's hosts on one port of loopback; a test sets what it answers.

    Attributes:
        asked: every request, in order.
        status, headers, parts: of each answer; without `parts` it tells what was asked.
        goes_on: set when the rest of the parts, after the first, may be sent.
    """

    origin: str = ""
    asked: list[Asked] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] | None = None
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        path += f"?{query}" if query else ""
        asked = Asked(request.method, path, dict(request.headers), await request.body())
        self.asked.append(asked)
        if self.parts is not None:
            return StreamingResponse(self._streamed(self.parts), self.status, self.headers)
        said = {"method": asked.method, "path": asked.path, "body": asked.body.decode("latin-1")}
        return JSONResponse(said, self.status, self.headers)

    async def _streamed(self, parts: list[bytes]) -> AsyncIterator[bytes]:
        for number, part in enumerate(parts):
            if number == 1:
                await self.goes_on.wait()
            yield part


@asynccontextmanager
async def fal_hosts() -> AsyncIterator[FalHosts]:
    """They run."""
    hosts = FalHosts()
    app = Starlette(routes=[Route("/{path:path}", hosts.answer, methods=METHODS)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    started = asyncio.Event()
    startup = server.startup

    async def start(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = start  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    try:
        await asyncio.wait_for(started.wait(), PATIENCE)
        hosts.origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield hosts
    finally:
        hosts.goes_on.set()
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, PATIENCE)


@dataclass(frozen=True)
class Hosted:
    """A running `serve --fal`."""

    port: int
    app: Any

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving_fal(
    origin: str, *, socket_origin: str = "ws://127.0.0.1:1", queue_path: str = "", **config: Any
) -> AsyncIterator[Hosted]:
    """The real app on a real server, with fal's hosts at `origin`.

    Args:
        socket_origin: where streams are.
        queue_path: where the queue is there.
    """
    given: dict[str, Any] = {"port": 0, "grace": 5.0, "fal": APP, "fal_key": FAL_KEY}
    settings = Config(**(given | config))
    elsewhere = dict.fromkeys(HOSTS, origin) | {"queue.fal.run": origin + queue_path}
    fal = Fal(AppId.parse(APP), FAL_KEY, elsewhere=elsewhere, socket_origin=socket_origin)
    app = create_hosted_app(settings, fal)
    async with listening(settings, app) as (port, _):
        yield Hosted(port, app)


def told(answer: Any) -> Any:
    """What an answer says, for a test's message."""
    return json.loads(answer.text)["detail"]
