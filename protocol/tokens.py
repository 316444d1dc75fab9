"""Tokens as data: the request that mints one, the answers that carry one, the claims inside.

Signing and verifying (PyJWT) belongs to the sides that hold a secret.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .app_id import AppId

ALGORITHM = "HS256"
DEFAULT_EXPIRATION = 120
MAX_EXPIRATION = 24 * 3600
MAX_ALIAS_CHARS = 128
_ANSWER_KEYS = ("token", "jwt", "access_token", "detail")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")


def _alias(name: str) -> str:
    if "/" in name:
        raise ValueError("must be the alias alone, such as krea-wan-14b, without owner or path")
    return name


def _app_alias(app: str) -> str:
    alias = AppId.parse(app.lstrip("/")).alias if "/" in app else app
    if len(alias) > MAX_ALIAS_CHARS:
        raise ValueError(f"an alias has at most {MAX_ALIAS_CHARS} characters")
    return alias


Alias = Annotated[str, Field(min_length=1, max_length=MAX_ALIAS_CHARS), AfterValidator(_alias)]
Life = Annotated[int, Field(ge=1, le=MAX_EXPIRATION)]


class TokenRequest(BaseModel):
    """The body of `POST /tokens/`, as fal's clients send it.

    Attributes:
        allowed_apps: aliases without owner or path, such as `krea-wan-14b`.
        token_expiration: seconds until the token expires.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    allowed_apps: Annotated[tuple[Alias, ...], Field(min_length=1, max_length=16)]
    token_expiration: Life = DEFAULT_EXPIRATION


class RealtimeTokenRequest(BaseModel):
    """The body of `POST /tokens/realtime`, fal's newer mint.

    Attributes:
        app: what is said there as `OWNER/ALIAS`, perhaps with a path; only its alias is kept.
        duration: seconds until the token expires.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    app: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_app_alias)]
    duration: Life = DEFAULT_EXPIRATION

    @property
    def grant(self) -> TokenRequest:
        """The same as a request of the older kind."""
        return TokenRequest(allowed_apps=(self.app,), token_expiration=self.duration)


def claims(request: TokenRequest, now: float) -> dict[str, Any]:
    """The claims of a token minted at `now` (seconds since the epoch)."""
    return {
        "allowed_apps": list(request.allowed_apps),
        "iat": int(now),
        "exp": int(now) + request.token_expiration,
    }


def token_in(answer: Any) -> str:
    """The token in what a mint answered: a bare JSON string, or one of the maps seen in use.

    Raises:
        ValueError: no token in it.
    """
    if isinstance(answer, str) and answer:
        return answer
    if isinstance(answer, dict):
        for key in _ANSWER_KEYS:
            if isinstance(answer.get(key), str) and answer[key]:
                return str(answer[key])
    raise ValueError(f"no token in the answer (a {type(answer).__name__})")


def mint_headers(key: str) -> dict[str, str]:
    """The headers of a request that mints a token; its body is a `TokenRequest`, as JSON."""
    return {"Authorization": f"Key {key}", "Accept-Encoding": "identity"}


def token_in_body(body: bytes) -> str:
    """The token in the body of what a mint answered: JSON, or the bare token.

    Raises:
        ValueError: no token in it.
    """
    try:
        token = token_in(json.loads(body))
    except (ValueError, RecursionError):
        bare = body.decode(errors="replace").strip()
        token = bare if _JWT.fullmatch(bare) else ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("no token in the answer")
    return token
