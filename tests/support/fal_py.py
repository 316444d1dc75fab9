"""fal's Python client, its blocking and its async one, called by tests in one way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import fal_client

from framewire.client.fal_sdk import pointed_at

Kind = Literal["async", "sync"]


class Fal:
    """One client. A blocking one is called in a thread."""

    def __init__(self, kind: Kind, key: str) -> None:
        self._client: Any = (
            fal_client.AsyncClient(key=key) if kind == "async" else fal_client.SyncClient(key=key)
        )
        self._is_async = kind == "async"

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What a method of the client returns."""
        return await self.of(self._client, method, *arguments, **options)

    async def of(self, owner: Any, method: str, *arguments: Any, **options: Any) -> Any:
        """What a method of something that the client returned, such as a handle, returns."""
        called = getattr(owner, method)
        if self._is_async:
            return await called(*arguments, **options)
        return await asyncio.to_thread(called, *arguments, **options)

    async def all_of(self, method: str, *arguments: Any, **options: Any) -> list[Any]:
        """All that a method of the client yields."""
        called = getattr(self._client, method)
        if self._is_async:
            return [one async for one in called(*arguments, **options)]
        return await asyncio.to_thread(lambda: list(called(*arguments, **options)))

    async def close(self) -> None:
        """What the client has no way of its own for."""
        if self._is_async:
            await (await self._client._client).aclose()
        else:
            self._client._client.close()


@asynccontextmanager
async def fal_py(kind: Kind, url: str, key: str = "no:key") -> AsyncIterator[Fal]:
    """A client that is pointed at `url`, with nothing else of it changed."""
    with pointed_at(url):
        client = Fal(kind, key)
        try:
            yield client
        finally:
            await client.close()
