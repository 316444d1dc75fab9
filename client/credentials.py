"""Keys, tokens and secrets: given by the caller, or read from the environment.

The only reader of the environment in the client. Never sends anything; fal's key is offered for
fal's addresses only, and the key for prompts with its own endpoint, so that none can leak to another
host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from framewire.protocol import FAL_RUN_HOST

from .address import Address
from .errors import AuthError, PromptError


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


@dataclass(frozen=True, slots=True)
class ExpansionEndpoint:
    """Where prompts are expanded: an OpenAI-compatible endpoint.

    Attributes:
        url: its base, such as `https://HOST/v1`.
        key: may be absent.
    """

    url: str
    model: str = ""
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            parts.port  # noqa: B018 - reading it is what checks it
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PromptError(
                "the endpoint for prompts is no URL", hint="such as http://127.0.0.1:11434/v1"
            )
        if not self.key.isascii() or not (self.key + "x").isprintable():
            raise PromptError("the key for prompts has a character that no header can carry")


def expansion_from_env(environ: Mapping[str, str] | None = None) -> ExpansionEndpoint:
    """`FRAMEWIRE_EXPANSION_URL`, `_MODEL` and `_KEY`: the same that a worker reads.

    Raises:
        PromptError: the URL is not set, or cannot be one.
    """
    environ = os.environ if environ is None else environ
    url, model, key = (
        environ.get(f"FRAMEWIRE_EXPANSION_{name}", "").strip() for name in ("URL", "MODEL", "KEY")
    )
    if not url:
        raise PromptError(
            "no endpoint expands prompts",
            hint="set FRAMEWIRE_EXPANSION_URL, FRAMEWIRE_EXPANSION_MODEL and, where it needs one, "
            "FRAMEWIRE_EXPANSION_KEY",
        )
    return ExpansionEndpoint(url, model, key)


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
