"""A stand-in for the language model that expands prompts: answers as it is told, and notes all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from support.servers.stand_in import tcp_server


def saying(content: Any, **choice: Any) -> bytes:
    """The body of an answer with this prompt in it."""
    return json.dumps({"choices": [{"message": {"content": content}} | choice]}).encode()


@dataclass
class LanguageModel:
    """One endpoint.

    Attributes:
        body: of its answers; None says nothing and keeps the connection open.
        heads: of the requests, in lower case.
        asked: their JSON.
        let_go: opens what was held open.
    """

    body: bytes | None
    status: str
    head: str
    port: int = 0
    heads: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split()[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        self.heads.append(head)
        self.came.set()
        if self.body is None:
            await self.let_go.wait()
            return
        size = f"Content-Length: {len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {self.status}\r\n{self.head}{size}\r\n".encode() + self.body)
        await writer.drain()


@asynccontextmanager
async def language_model(
    body: bytes | None = None, *, status: str = "200 OK", head: str = ""
) -> AsyncIterator[LanguageModel]:
    """Serve it on loopback."""
    model = LanguageModel(body, status, head)
    async with tcp_server(model.handle) as model.port:
        try:
            yield model
        finally:
            model.let_go.set()
