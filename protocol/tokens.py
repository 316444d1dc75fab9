"""Tokens as data: the request that mints one, the answers that carry one, the claims inside.

Signing and verifying (PyJWT) belongs to the sides that hold a secret.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ALGORITHM = "HS256"
DEFAULT_EXPIRATION = 120
MAX_EXPIRATION = 24 * 3600
_ANSWER_KEYS = ("token", "jwt", "access_token", "detail")


class TokenRequest(BaseModel):
    """The body of `POST /tokens/`, as fal's clients send it.

    Attributes:
        allowed_apps: aliases without owner or path, such as `krea-wan-14b`.
        token_expiration: seconds until the token expires.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    allowed_apps: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...],
        Field(min_length=1, max_length=16),
    ]
    token_expiration: Annotated[int, Field(ge=1, le=MAX_EXPIRATION)] = DEFAULT_EXPIRATION


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
