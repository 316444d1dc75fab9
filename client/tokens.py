"""Tokens in time: minted where the credentials say, kept, and renewed before they expire.

How long a token lives is measured on the monotonic clock from the moment it came, so that
neither a wrong nor a jumping wall clock makes a stale token look fresh.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx
import jwt
from pydantic import ValidationError

from framewire.protocol import ALGORITHM, TokenRequest, claims, mint_headers, token_in_body
from framewire.protocol.tokens import MAX_EXPIRATION

from .address import Address, redact
from .credentials import Credentials
from .errors import AuthError, ConnectError
from .limits.answer import whole_answer
from .routes import hint_for, http_client, refuse_plaintext, way

MINT_TIMEOUT = 15.0
_MARGIN = 30.0  # seconds before expiry at which a token is renewed; a quarter of a short life


class TokenSource(Protocol):
    """Where the token for the next connection comes from."""

    async def get(self) -> str | None:
        """A token that is good now; None where none is needed."""

    def refused(self) -> None:
        """The server did not take the token: do not hand it out again if another can be had."""


class GivenToken:
    """A token of the caller's, or none at all. It is never renewed."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def get(self) -> str | None:
        return self._token

    def refused(self) -> None:
        """Nothing to do: there is no other."""


class MintedTokens:
    """Tokens from `mint`, each used until shortly before it expires.

    Args:
        mint: makes a new token.
        life: seconds asked for; believed where the token does not tell.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        mint: Callable[[], Awaitable[str]],
        life: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mint = mint
        self._life = life
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        async with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                asked_at = self._clock()
                self._token = await self._mint()
                life = life_of(self._token) or self._life
                self._renew_at = asked_at + life - min(_MARGIN, life / 4)
            return self._token

    def refused(self) -> None:
        self._token = None


def token_source(
    address: Address, credentials: Credentials, *, expiration: int, allow_plaintext: bool = False
) -> GivenToken | MintedTokens:
    """The source that fits what the caller has.

    Args:
        expiration: seconds that minted tokens are to live.
        allow_plaintext: a key may go to another machine without TLS.

    Raises:
        AuthError: no token can live that long, or that shortly.
    """
    if credentials.token is not None or not credentials:
        return GivenToken(credentials.token)
    try:
        request = TokenRequest(allowed_apps=(address.alias,), token_expiration=expiration)
    except ValidationError:
        raise AuthError(
            f"no token lives for {expiration} s", hint=f"1 to {MAX_EXPIRATION} can be asked for"
        ) from None
    if credentials.secret is not None:
        secret = credentials.secret

        async def mint() -> str:
            return mint_here(secret, request)

    else:
        key = credentials.key or ""

        async def mint() -> str:
            return await mint_there(
                address.token_url, key, request, allow_plaintext=allow_plaintext
            )

    return MintedTokens(mint, expiration)


def mint_here(secret: str, request: TokenRequest) -> str:
    """A token signed with the secret that the worker checks with."""
    return jwt.encode(claims(request, time.time()), secret, algorithm=ALGORITHM)


async def mint_there(
    url: str, key: str, request: TokenRequest, *, allow_plaintext: bool = False
) -> str:
    """A token from a `/tokens/` endpoint.

    Raises:
        PlaintextError: the key would go there in clear, and that is not allowed.
        AuthError: the key was refused.
        ConnectError: no token came, for any other reason.
    """
    refuse_plaintext(url, "the key", allowed=allow_plaintext)
    where = f"the token endpoint {redact(url)}"
    try:
        async with http_client(url, timeout=MINT_TIMEOUT) as client:
            response = await whole_answer(
                client,
                "POST",
                url,
                seconds=MINT_TIMEOUT,
                json=request.model_dump(mode="json"),
                headers=mint_headers(key),
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # From None: httpx's request object, headers and all, hangs on its exceptions.
        said = f"{type(error).__name__} {redact(str(error))}".strip()
        raise ConnectError(
            f"{where} cannot be reached{way(url)}: {said}", hint=hint_for(url, error)
        ) from None
    if response.status_code in (401, 403):
        raise AuthError(
            f"{where} refused the key (HTTP {response.status_code}{_said(response, key)})",
            hint="check the key and that it may use this app",
        )
    if not response.is_success:
        raise ConnectError(f"{where} answered HTTP {response.status_code}{_said(response, key)}")
    try:
        return token_in_body(response.content)
    except ValueError:
        raise ConnectError(f"{where} answered without a token in it") from None


def _said(response: httpx.Response, key: str) -> str:
    text = " ".join(response.text.split())[:200].replace(key, "…")
    return f": {redact(text)}" if text else ""


def claims_in(token: str) -> dict[str, Any]:
    """What a JWT claims, unverified; nothing where it is none that can be read."""
    try:
        body = token.split(".")[1]
        values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, RecursionError, binascii.Error):
        return {}
    return values if isinstance(values, dict) else {}


def life_of(token: str) -> float | None:
    """Seconds that a fresh JWT lives, by its own claims and unverified; None if it tells none."""
    values = claims_in(token)
    try:
        began = values.get("iat")
        life = float(values["exp"]) - (time.time() if began is None else float(began))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return life if 0 < life < math.inf else None
