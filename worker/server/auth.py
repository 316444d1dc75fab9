"""Who may connect: tokens minted and verified, keys compared, browsers' origins checked.

Knows requests only as headers and strings. Tokens are fal-shaped: HS256 JWTs that name the
apps they open (claims in `framewire.protocol.tokens`).
"""

from __future__ import annotations

import math
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import jwt

from framewire.protocol import ALGORITHM, TokenRequest, claims, is_loopback
from framewire.worker.config import Config, listed_origins

CLOCK_SKEW_SECONDS = 60.0
"""By which the clock of whoever minted a token may be ahead of this one."""


UPLOAD_TOKEN_SECONDS = 600
_UPLOADS = "framewire uploads"


class Unauthorized(Exception):
    """This caller may not; the message says why, without repeating a secret."""


class Gate:
    """Checks callers against one worker's settings.

    Attributes:
        origins: the browser origins that are listed.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._secret = config.secret or secrets.token_urlsafe(32)
        self.origins = listed_origins(config.origins)
        self._hosts = {origin.partition("://")[2] for origin in self.origins}

    def check_viewer(self, authorization: str, token: str) -> None:
        """Let a websocket in, by `Authorization` header or `fal_jwt_token`.

        Raises:
            Unauthorized: neither opens this app.
        """
        if self._config.auth != "jwt":
            return
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "key" and self._is_key(credential.strip()):
            return
        if scheme.lower() == "bearer":
            token = credential.strip()
        if not token:
            raise Unauthorized(
                "no token: connect with ?fal_jwt_token=JWT or an Authorization header"
            )
        apps = self._claims(token, "allowed_apps")["allowed_apps"]
        if not isinstance(apps, list) or self._config.alias not in apps:
            raise Unauthorized(f"the token is not for {self._config.alias}")

    def check_minter(self, authorization: str) -> None:
        """Let a caller of a mint in: by the key, for anything but a browser can write an Origin.

        Raises:
            Unauthorized: the key is missing or wrong.
        """
        if self._config.auth == "none":
            return
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() not in ("key", "bearer") or not self._is_key(credential.strip()):
            raise Unauthorized("Authorization: Key … with this worker's key is needed")

    def check_browser(self, host: str | None, origin: str) -> None:
        """Refuse web pages of other sites: a page can reach a loopback port without a token.

        Args:
            host: as the caller named this worker; None where it named none, which no browser does.

        Raises:
            Unauthorized: Host or Origin is neither loopback nor allowed.
        """
        named = host is not None and host not in self._hosts
        if self._config.loopback and named and not _is_loopback(f"//{host}"):
            raise Unauthorized(f"Host {host!r} is not this machine: add its origin to --origins")
        if not origin or origin in self.origins:
            return
        if (self._config.loopback or self._config.auth == "none") and not _is_loopback(origin):
            raise Unauthorized(f"Origin {origin!r} is not allowed: add it to --origins")

    def mint(self, request: TokenRequest) -> str:
        """A signed token for what `request` asks."""
        return jwt.encode(claims(request, time.time()), self._secret, algorithm=ALGORITHM)

    def check_uploader(self, authorization: str) -> None:
        """Let a caller hand in a file: by the key, or by a token of `mint_upload`.

        Raises:
            Unauthorized: it is neither.
        """
        scheme, _, credential = authorization.partition(" ")
        if self._config.auth == "none" or scheme.lower() != "bearer" or credential.count(".") != 2:
            self.check_minter(authorization)
        else:
            self._claims(credential.strip(), audience=_UPLOADS)

    def mint_upload(self) -> tuple[str, float]:
        """A signed token that lets its bearer hand in files, and nothing else.

        Returns:
            It, and when it expires, in seconds since 1970.
        """
        now = time.time()
        expiry = now + UPLOAD_TOKEN_SECONDS
        said = {"aud": _UPLOADS, "iat": int(now), "exp": int(expiry)}
        return jwt.encode(said, self._secret, algorithm=ALGORITHM), expiry

    def _claims(self, token: str, *required: str, audience: str | None = None) -> dict[str, Any]:
        """What a token says, once it is known to be ours and of now.

        Raises:
            Unauthorized: it is not, or is for another audience.
        """
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=audience,
                options={"require": ["exp", "iat", *required], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("the token has expired: mint another") from None
        except (jwt.InvalidTokenError, ValueError, ArithmeticError, RecursionError) as error:
            raise Unauthorized(f"the token is not valid: {type(error).__name__}") from None
        for claim in ("exp", "iat"):
            if type(found[claim]) not in (int, float) or not math.isfinite(found[claim]):
                raise Unauthorized(f"the token is not valid: {claim} is no time")
        if found["iat"] > time.time() + CLOCK_SKEW_SECONDS:
            raise Unauthorized("the token is not valid: issued in the future")
        return found

    def _is_key(self, credential: str) -> bool:
        key = self._config.key
        return bool(key) and secrets.compare_digest(credential.encode(), key.encode())


def _is_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False
