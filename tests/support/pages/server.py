"""The page in front of a server that a test scripts, as it stands in front of a hosted endpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from support.servers.stand_in import Script, StandIn, stand_in

from framewire.worker.backends.base import Defaults
from framewire.worker.config import Config
from framewire.worker.server.auth import Gate
from framewire.worker.server.page.description import Description
from framewire.worker.server.page.of_worker import wire_defaults
from framewire.worker.server.page.routes import add_page

PATIENCE = 60.0


@dataclass(frozen=True)
class PageServer:
    """Where the page is, and the server that it connects to."""

    http: str
    behind: StandIn


@asynccontextmanager
async def page_before(script: Script, **facts: Any) -> AsyncIterator[PageServer]:
    """The page, served here, which connects to a server that runs `script` for each connection.

    Args:
        facts: of the `Description` that the page gets.
    """
    async with stand_in(script) as behind:
        given: dict[str, Any] = {
            "alias": "krea-wan-14b",
            "preset": "stand-in",
            "auth": False,
            "socket": behind.url,
            "defaults": wire_defaults(Defaults()),
            "prompts": ("a red circle",),
        }
        described = Description(**(given | facts))
        app = FastAPI()
        origin = behind.url.removesuffix("/ws")
        add_page(app, Gate(Config()), described.as_json, connect_to=origin)

        @app.post("/api/fal")
        async def mint() -> dict[str, str]:
            return {"token": "a-token"}

        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
        )
        task = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(PATIENCE):
                while not server.started:  # noqa: ASYNC110 (no event tells)
                    await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield PageServer(f"http://127.0.0.1:{port}", behind)
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, PATIENCE)
