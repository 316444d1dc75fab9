"""A real worker behind a middleman who breaks one rule of the wire at a time.

All that is not broken is the worker's own doing. `BREAKS` names for every rule what the middleman
does about it; `Link` is one connection through him.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import msgpack
from PIL import Image
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Values = dict[Any, Any]
REFUSED = {"prompt": ""}
"""Sent to the worker instead of a map that is to be refused."""


@dataclass
class Link:
    """One viewer's connection: both sockets, and how far the stream is."""

    number: int
    client: ServerConnection
    worker: ClientConnection
    frames: int = 0
    completed: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def tell_client(self, **values: Any) -> None:
        await self.client.send(json.dumps(values))


def same_door(path: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    return path, headers


def as_it_is(link: Link, what: Any) -> Any:
    return what


async def nothing(link: Link, what: Any) -> None:
    return None


@dataclass(frozen=True)
class Break:
    """What the middleman does. Maps, texts and frames: returns what to pass on, None for nothing.

    Attributes:
        after: called with each message to the viewer after it was passed on.
        before: called with each one before.
        on_raw: called with each message of the viewer before it is passed on.
        close: the close code passed on for the worker's.
    """

    maps: Callable[[Link, Values], Values | None] = as_it_is
    texts: Callable[[Link, Values], Values | str | None] = as_it_is
    frames: Callable[[Link, bytes], bytes | None] = as_it_is
    before: Callable[[Link, Any], Any] = nothing
    after: Callable[[Link, Any], Any] = nothing
    on_raw: Callable[[Link, bytes | str], Any] = nothing
    door: Callable[[str, dict[str, str]], tuple[str, dict[str, str]] | None] = same_door
    close: Callable[[int], int] = int
    compression: str | None = None
    refuse: int | None = None
    connection: type[ServerConnection] = ServerConnection


HONEST = Break()


@asynccontextmanager
async def broken_endpoint(worker_url: str, broken: Break) -> AsyncIterator[str]:
    """The middleman's own address, without a path."""
    count = 0

    async def handle(client: ServerConnection) -> None:
        nonlocal count
        count += 1
        assert client.request is not None
        given = client.request.headers
        headers = {name: given[name] for name in ("Authorization", "Origin") if name in given}
        door = broken.door(client.request.path, headers)
        if door is None:
            return
        path, headers = door
        options: dict[str, Any] = {"compression": None, "max_size": None, "proxy": None}
        async with open_socket(worker_url + path, additional_headers=headers, **options) as worker:
            link = Link(count, client, worker)
            upward = asyncio.create_task(_upward(link, broken))
            await _downward(link, broken)
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)

    def answer(client: ServerConnection, request: Request) -> Response | None:
        return None if broken.refuse is None else client.respond(broken.refuse, "no\n")

    async with serve(
        handle,
        "127.0.0.1",
        0,
        process_request=answer,
        create_connection=broken.connection,
        compression=broken.compression,
        max_size=None,
        close_timeout=1,
    ) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def _upward(link: Link, broken: Break) -> None:
    """From the viewer to the worker, until the viewer closes."""
    with suppress(ConnectionClosed):
        async for data in link.client:
            link.heard.set()
            await broken.on_raw(link, data)
            try:
                values = msgpack.unpackb(data, strict_map_key=False) if data else None
            except (ValueError, TypeError, msgpack.UnpackException):
                values = None
            if not isinstance(values, dict):
                await link.worker.send(data)
            elif (passed := broken.maps(link, values)) is not None:
                same = passed == values
                await link.worker.send(data if same else msgpack.packb(passed))
    await link.worker.close()


async def _downward(link: Link, broken: Break) -> None:
    """From the worker to the viewer, until the worker closes."""
    with suppress(ConnectionClosed):
        async for data in link.worker:
            said = json.loads(data) if isinstance(data, str) else data
            await broken.before(link, said)
            if isinstance(said, bytes):
                passed: Any = broken.frames(link, said)
                link.frames += 1
            else:
                passed = broken.texts(link, said)
                if passed == said:
                    passed = data
                if said.get("status") == "completed":
                    link.frames, link.completed = 0, True
            if isinstance(passed, dict):
                passed = json.dumps(passed, separators=(",", ":"))
            if passed is not None:
                await link.client.send(passed)
            await broken.after(link, said)
    code, reason = link.worker.close_code or 1006, link.worker.close_reason or ""
    with suppress(ConnectionClosed):
        await link.client.close(broken.close(code if code != 1006 else 1011), reason)


class NoGoodbye(ServerConnection):
    """Resets the connection where a close should be answered."""

    def data_received(self, data: bytes) -> None:
        if data[:1] == b"\x88":
            self.transport.abort()
        else:
            super().data_received(data)


def without(values: Values, *keys: str) -> Values:
    return {key: value for key, value in values.items() if key not in keys}


def on_text(
    wanted: Callable[[Values], Any], change: Callable[[Values], Any]
) -> Callable[[Link, Values], Any]:
    """Change the texts that are wanted, leave the others."""
    return lambda link, text: change(text) if wanted(text) else text


def on_map(
    wanted: Callable[[Values], Any], change: Callable[[Values], Values | None]
) -> Callable[[Link, Values], Values | None]:
    return lambda link, values: change(values) if wanted(values) else values


def on_envelope(change: Callable[[Values], Values]) -> Callable[[Link, bytes], bytes]:
    """Change the frames that are maps, leave bare JPEGs."""
    return lambda link, frame: (
        frame if frame.startswith(b"\xff\xd8") else msgpack.packb(change(msgpack.unpackb(frame)))
    )


def is_ready(text: Any) -> bool:
    return isinstance(text, dict) and text.get("status") == "ready"


def is_completed(text: Any) -> bool:
    return isinstance(text, dict) and text.get("status") == "completed"


def is_refusal(text: Any) -> bool:
    return isinstance(text, dict) and "error" in text


def is_kind(kind: str) -> Callable[[Values], bool]:
    return lambda text: text.get("type") == kind


def is_start(values: Values) -> bool:
    return "prompt" in values and "num_blocks" in values and "interp_steps" not in values


def coarse(jpeg: bytes) -> bytes:
    """The same picture with its colours at full resolution."""
    data = BytesIO()
    Image.open(BytesIO(jpeg)).save(data, "JPEG", subsampling=0)
    return data.getvalue()
