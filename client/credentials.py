"""Keys, tokens and secrets: given by the caller, or read from the environment.

The only reader of the environment in the client. Never sends anything; fal's key is offered for
fal's addresses only, so that it cannot leak to another host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from framewire.protocol import FAL_RUN_HOST

from .address import Address
from .errors import AuthError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a door. All of it may be absent: a worker on loopback may ask for nothing.

    Attributes:
        key: turned into a token by `POST /tokens/`.
        token: a ready-made JWT.
        secret: shared with the worker; tokens are minted with it here.
    """

    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("key", "token"):
            value = getattr(self, name)
            if value is not None and (not value or not value.isprintable() or " " in value):
                raise AuthError(
                    f"the {name} is empty or has spaces or line breaks in it",
                    hint="pass it bare, without 'Key ' or 'Bearer ' before it",
                )
            bad = next((letter for letter in value or "" if not letter.isascii()), None)
            if bad is not None:
                raise AuthError(
                    f"the {name} has {bad!r} in it, which no header can carry",
                    hint="copy it anew: quotes around it may have been taken along",
                )
        given = [name for name in ("key", "token", "secret") if getattr(self, name) is not None]
        if len(given) > 1:
            raise AuthError(f"{' and '.join(given)} were given", hint="give one of them")

    def __bool__(self) -> bool:
        return not (self.key is None and self.token is None and self.secret is None)


def fal_run_host(environ: Mapping[str, str] | None = None) -> str:
    """The host of fal's apps: `FAL_RUN_HOST`, or fal's own."""
    environ = os.environ if environ is None else environ
    return environ.get("FAL_RUN_HOST") or FAL_RUN_HOST


def credentials_from_env(address: Address, environ: Mapping[str, str] | None = None) -> Credentials:
    """What the environment holds for `address`.

    For fal: `FAL_KEY`, or `FAL_KEY_ID` with `FAL_KEY_SECRET`, or `FAL_API_KEY`. For a worker:
    `FRAMEWIRE_TOKEN`, `FRAMEWIRE_KEY` or `FRAMEWIRE_SECRET`, the first that is set.

    Raises:
        AuthError: a fal address, and none of its variables is set.
    """
    environ = os.environ if environ is None else environ
    found = {name: text.strip() for name, text in environ.items() if text.strip()}
    if address.is_fal:
        return Credentials(key=_fal_key(found))
    for name in ("token", "key", "secret"):
        value = found.get(f"FRAMEWIRE_{name.upper()}")
        if value:
            return Credentials(**{name: value})
    return Credentials()


def _fal_key(found: Mapping[str, str]) -> str:
    if "FAL_KEY" in found:
        return found["FAL_KEY"]
    if "FAL_KEY_ID" in found and "FAL_KEY_SECRET" in found:
        return f"{found['FAL_KEY_ID']}:{found['FAL_KEY_SECRET']}"
    if "FAL_API_KEY" in found:
        return found["FAL_API_KEY"]
    raise AuthError(
        "no key for fal was found",
        hint="set FAL_KEY, or FAL_KEY_ID and FAL_KEY_SECRET, or pass key=",
    )
