"""Tokens from fal for one app and a short life, with the key that stays here."""

from __future__ import annotations

import asyncio

import httpx

from framewire.protocol import TokenRequest, mint_headers, token_in_body

from .fal import Fal

MINT_SECONDS = 15.0
MOST_BYTES = 64 * 1024
"""Of an answer. A token is a few hundred."""


class MintFailed(Exception):
    """There is no token. The message is one line for the page, without a secret.

    Attributes:
        status: of HTTP, for the page.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def mint(client: httpx.AsyncClient, fal: Fal, seconds: int) -> str:
    """A token that opens `fal.app` and lives for `seconds`.

    Raises:
        MintFailed: fal refuses the key, or gives no token.
    """
    request = TokenRequest(allowed_apps=(fal.app.alias,), token_expiration=seconds)
    try:
        async with asyncio.timeout(MINT_SECONDS):
            status, body = await _answer(client, fal, request)
    except (TimeoutError, httpx.TimeoutException):
        raise MintFailed(504, "fal gave no token in time: try again") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise MintFailed(
            502, f"fal cannot be reached for a token: {type(error).__name__}"
        ) from None
    if status in (401, 403):
        raise MintFailed(
            502,
            f"fal refuses the key of this server (HTTP {status}): see that FAL_KEY is right and "
            f"may use {fal.app}",
        )
    if not 200 <= status < 300:
        raise MintFailed(502, f"fal gave no token: HTTP {status}")
    try:
        return token_in_body(body)
    except ValueError:
        raise MintFailed(502, "fal answered without a token") from None


async def _answer(client: httpx.AsyncClient, fal: Fal, request: TokenRequest) -> tuple[int, bytes]:
    body = bytearray()
    async with client.stream(
        "POST",
        fal.token_url,
        json=request.model_dump(mode="json"),
        headers=mint_headers(fal.key),
        timeout=MINT_SECONDS,
    ) as response:
        async for part in response.aiter_raw():
            body += part
            if len(body) > MOST_BYTES:
                raise httpx.RemoteProtocolError("too long an answer")
        return response.status_code, bytes(body)
