"""Fetching what a `video_url` or an `image_url` names, where the operator allows it, and nothing else.

A name is resolved once, every address is judged, and the connection goes to a judged address:
what the name means a moment later (DNS rebinding) does not matter. Redirects are judged anew.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from framewire.worker.allowed_hosts import Address, AllowedHosts

FETCH_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_REDIRECTS = 3
FindOwn = Callable[[str], Path | None]
_PIECE = 1 << 20  # characters of base64 decoded at a time, a multiple of 4


class FetchError(ValueError):
    """This URL is not fetched or gave nothing; the message is one line for the sender."""


class Fetcher:
    """Turns a `video_url` or an `image_url` into bytes.

    Args:
        allowed: the hosts that the operator allows.
        limit: bytes that a file may have.
        own: where the file is that was uploaded here and whose URL this is; None of any other URL.
    """

    def __init__(self, allowed: AllowedHosts, limit: int, own: FindOwn = lambda _: None) -> None:
        self._allowed: Final = allowed
        self._limit: Final = limit
        self._own: Final = own

    async def fetch(self, url: str) -> bytes:
        """The bytes at `url`, or in it where it is a data URL.

        Raises:
            FetchError: it is not allowed, not there, too large or too slow.
        """
        if url[:5].lower() == "data:":
            return await asyncio.to_thread(self._from_data_url, url)
        path = self._own(url)
        if path is not None:
            return await asyncio.to_thread(self._from_disk, path)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._over_http(url)
        except TimeoutError:
            raise FetchError(f"nothing whole came within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(f"it cannot be fetched: {type(error).__name__}") from error

    def _from_disk(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                data = file.read(self._limit + 1)
        except OSError:
            raise FetchError("the uploaded file's time is over: upload it again") from None
        if len(data) > self._limit:
            raise FetchError(self._too_large())
        return data

    def _from_data_url(self, url: str) -> bytes:
        header, comma, body = url.partition(",")
        if not comma or not header.endswith(";base64"):
            raise FetchError("a data URL must be base64: data:TYPE;base64,…")
        if len(body) > self._limit * 4 // 3 + 4:
            raise FetchError(self._too_large())
        pieces = []
        for start in range(0, len(body), _PIECE):  # in between, other threads may run
            try:
                piece = base64.b64decode(body[start : start + _PIECE], validate=True)
            except (binascii.Error, ValueError):
                raise FetchError("the data URL is no base64") from None
            pieces.append(piece)
            if len(piece) < _PIECE // 4 * 3 and start + _PIECE < len(body):
                raise FetchError("the data URL is no base64: it goes on behind its end")
        return b"".join(pieces)

    async def _over_http(self, url: str) -> bytes:
        tls = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
        async with httpx.AsyncClient(
            timeout=_CONNECT_SECONDS, trust_env=False, verify=tls
        ) as client:
            for _ in range(_REDIRECTS + 1):
                response = await client.send(await self._request(client, url), stream=True)
                try:
                    if response.has_redirect_location:
                        url = _joined(url, response.headers["location"])
                        continue
                    return await self._body(response)
                finally:
                    await response.aclose()
        raise FetchError(f"more than {_REDIRECTS} redirects")

    async def _request(self, client: httpx.AsyncClient, url: str) -> httpx.Request:
        """A request that goes to a judged address, under the name that the URL has."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise FetchError("it is no URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise FetchError("only http, https and data URLs are taken")
        if "@" in parts.netloc:
            raise FetchError("a URL with a name or a password in it is not taken")
        address = await self._judged(host, port or (443 if parts.scheme == "https" else 80))
        return client.build_request(
            "GET",
            httpx.URL(url).copy_with(host=str(address), fragment=None),
            headers={"Host": parts.netloc, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host},
        )

    async def _judged(self, host: str, port: int) -> Address:
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return await self._resolved(host, port)
        if not self._allowed.allows_address(literal, named=False):
            raise FetchError(_refused(host))
        return literal

    async def _resolved(self, host: str, port: int) -> Address:
        if not self._allowed.allows_name(host):
            raise FetchError(_refused(host))
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise FetchError(f"{host} is not known") from None
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not all(self._allowed.allows_address(address, named=True) for address in addresses):
            raise FetchError(f"{host} leads to a private address")
        return addresses[0]

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"its host answered HTTP {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchError("its host sent it compressed, which was not asked for")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self._limit:
                raise FetchError(self._too_large())
        return bytes(body)

    def _too_large(self) -> str:
        return f"more than {self._limit / 1_000_000:g} MB"


def _refused(host: str) -> str:
    return (
        f"{host} is not a host that this worker fetches from: its operator allows hosts with "
        "video_hosts (FRAMEWIRE_VIDEO_HOSTS); data URLs are taken always, and URLs of files that "
        "were uploaded here, while they are kept"
    )


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise FetchError("it redirects to what is no URL") from None
