"""Auth: which tokens and keys open the worker, and which web pages may ask."""

import base64
import json
import math
import time
from typing import Any

import jwt
import pytest

from framewire.protocol import TokenRequest
from framewire.worker.config import Config
from framewire.worker.server.auth import Gate, Unauthorized

SECRET = "a secret of more than thirty-two bytes"
OTHER = "another secret, again of thirty-two bytes"
KEY = "key-id:key-secret"
ALIAS = "krea-wan-14b"


def gate(**values: Any) -> Gate:
    return Gate(Config(**({"auth": "jwt", "secret": SECRET, "key": KEY} | values)))


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = int(time.time())
    values = {"allowed_apps": [ALIAS], "iat": now, "exp": now + 60} | claims
    values = {name: value for name, value in values.items() if value is not None}
    return jwt.encode(values, secret, algorithm=algorithm)


def part(values: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    now = int(time.time())
    return (
        part({"alg": algorithm, "typ": "JWT"})
        + "."
        + part({"allowed_apps": [ALIAS], "iat": now, "exp": now + 60})
        + "."
    )


def test_a_token_that_this_worker_minted_opens_it() -> None:
    door = gate()
    minted = door.mint(TokenRequest(allowed_apps=(ALIAS,), token_expiration=60))
    door.check_viewer("", minted)
    door.check_viewer(f"Bearer {minted}", "")
    claims = jwt.decode(minted, SECRET, algorithms=["HS256"])
    assert set(claims) == {"exp", "iat", "allowed_apps"} and claims["allowed_apps"] == [ALIAS]
    assert claims["exp"] - claims["iat"] == 60


def test_a_token_minted_elsewhere_with_the_shared_secret_opens_it() -> None:
    gate().check_viewer("", token())
    gate().check_viewer("", token(allowed_apps=["something-else", ALIAS]))


@pytest.mark.parametrize("form", ["Key {}", "key {}", "KEY  {} "])
def test_the_key_itself_opens_it(form: str) -> None:
    gate().check_viewer(form.format(KEY), "")


def tampered() -> str:
    head, _, signature = token().split(".")
    now = int(time.time())
    claims = {"allowed_apps": [ALIAS, "more"], "iat": now, "exp": now + 9999}
    return ".".join([head, part(claims), signature])


def signed(payload: bytes) -> str:
    return jwt.api_jws.encode(payload, SECRET)


def nested(inside: str) -> str:
    """A header that runs out of stack where it is read, before any signature is looked at."""
    text = '{"a":' * 50_000 + inside
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


BAD_TOKENS = {
    "expired": (lambda: token(exp=int(time.time()) - 1), "expired"),
    "for another app": (lambda: token(allowed_apps=["flux"]), f"not for {ALIAS}"),
    "for no app": (lambda: token(allowed_apps=[]), "not for"),
    "apps in a string": (lambda: token(allowed_apps=ALIAS), "not for"),
    "apps in a map": (lambda: token(allowed_apps={ALIAS: True}), "not for"),
    "alg none": (lambda: unsigned("none"), "not valid"),
    "alg NONE": (lambda: unsigned("NONE"), "not valid"),
    "no signature": (lambda: unsigned("HS256"), "not valid"),
    "tampered": (tampered, "not valid"),
    "another secret": (lambda: token(OTHER), "not valid"),
    "HS512": (lambda: token(SECRET * 2, "HS512"), "not valid"),
    "without exp": (lambda: token(exp=None), "not valid"),
    "without iat": (lambda: token(iat=None), "not valid"),
    "without apps": (lambda: token(allowed_apps=None), "not valid"),
    "exp in words": (
        lambda: jwt.api_jws.encode(
            json.dumps({"allowed_apps": [ALIAS], "iat": 1, "exp": "tomorrow"}).encode(), SECRET
        ),
        "not valid",
    ),
    "exp without end": (lambda: token(exp=math.inf), "not valid"),
    "exp that is no number": (lambda: token(exp=math.nan), "not valid"),
    "exp in a list": (lambda: token(exp=[2**40]), "not valid"),
    "exp true": (lambda: token(exp=True), "not valid|expired"),
    "iat that is no number": (lambda: token(iat=math.nan), "iat is no time"),
    "iat before all time": (lambda: token(iat=-math.inf), "iat is no time"),
    "iat true": (lambda: token(iat=True), "iat is no time"),
    "iat in words": (lambda: token(iat="1"), "iat is no time"),
    "nbf without end": (lambda: token(nbf=math.inf), "not valid"),
    "a header that nests": (lambda: nested("{}") + ".e30.e30", "not valid"),
    "claims that nest": (lambda: signed(b'{"exp":' + b"[" * 50_000), "not valid"),
    "issued in the future": (lambda: token(iat=int(time.time()) + 3600), "not valid"),
    "no JWT": (lambda: "hello", "not valid"),
    "three dots": (lambda: "...", "not valid"),
    "not even text": (lambda: "\x00\xff.\u20ac.x", "not valid"),
    "none": (lambda: "", "no token"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
@pytest.mark.parametrize("header", [False, True])
def test_a_bad_token_is_refused_with_a_reason_that_does_not_repeat_it(
    name: str, header: bool
) -> None:
    make, reason = BAD_TOKENS[name]
    bad = make()
    with pytest.raises(Unauthorized, match=reason) as refused:
        gate().check_viewer(f"Bearer {bad}" if header else "", "" if header else bad)
    assert len(bad) < 4 or bad not in str(refused.value)


@pytest.mark.parametrize(
    "authorization", ["", "Key", "Key ", "Key wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}", "Key é"]
)
def test_a_wrong_key_neither_opens_nor_mints(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        gate().check_viewer(authorization, "")
    if authorization != f"Bearer {KEY}":  # fal's clients send what `fal auth login` gave as Bearer
        with pytest.raises(Unauthorized):
            gate().check_minter(authorization)


@pytest.mark.parametrize("authorization", ["Key ", "Key", "Bearer ", ""])
def test_where_no_key_is_set_nobody_mints(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        gate(key="").check_minter(authorization)
    with pytest.raises(Unauthorized):
        gate(key="", auth="platform").check_minter(authorization)


def test_without_a_secret_each_worker_draws_its_own() -> None:
    one, other = gate(secret=""), gate(secret="")
    minted = one.mint(TokenRequest(allowed_apps=(ALIAS,)))
    one.check_viewer("", minted)
    with pytest.raises(Unauthorized):
        other.check_viewer("", minted)
    with pytest.raises(Unauthorized):
        one.check_viewer("", token(" " * 32))


@pytest.mark.parametrize("auth", ["none", "platform"])
def test_where_another_has_checked_no_token_is_asked_for(auth: str) -> None:
    gate(auth=auth).check_viewer("", "")


LOOPBACK_HOSTS = ["127.0.0.1:8000", "localhost:8000", "localhost", "[::1]:8000", "127.0.0.1"]
FOREIGN_HOSTS = [
    "rebound.example:8000",
    "127.0.0.1.example.com",
    "localhost.example.com:8000",
    "10.0.0.7:8000",
    "example.com:80@127.0.0.1.evil",
    "",
    "[::1",
    "[not an address]",
]


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
@pytest.mark.parametrize("origin", ["", "http://localhost:5173", "http://127.0.0.1:8000"])
def test_pages_and_programs_of_this_machine_may_ask(host: str, origin: str) -> None:
    gate(auth="none").check_browser(host, origin)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("auth", ["none", "jwt", "platform"])
def test_a_name_that_was_rebound_to_loopback_is_refused(host: str, auth: str) -> None:
    with pytest.raises(Unauthorized, match="Host"):
        gate(auth=auth).check_browser(host, "")


def test_a_caller_that_names_no_host_is_no_browser() -> None:
    gate(auth="none").check_browser(None, "")


def test_the_host_of_an_allowed_origin_may_stand_in_front_as_a_proxy() -> None:
    proxied = gate(origins="https://video.example")
    proxied.check_browser("video.example", "")
    proxied.check_browser("video.example", "https://video.example")
    with pytest.raises(Unauthorized, match="Host"):
        proxied.check_browser("other.example", "")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "http://[::1",
        "file://",
        "chrome-extension://abcdef",
    ],
)
def test_pages_of_other_sites_are_refused_on_loopback(origin: str) -> None:
    for auth in ("none", "jwt"):
        with pytest.raises(Unauthorized, match="Origin"):
            gate(auth=auth).check_browser("127.0.0.1:8000", origin)


def test_an_origin_that_the_owner_allows_may_ask() -> None:
    door = gate(auth="none", origins="https://app.example, http://other.example:3000")
    door.check_browser("127.0.0.1:8000", "https://app.example")
    door.check_browser("127.0.0.1:8000", "http://other.example:3000")
    with pytest.raises(Unauthorized):
        door.check_browser("127.0.0.1:8000", "https://app.example.evil")


def test_an_open_worker_is_reached_under_any_name_from_any_page_with_a_token() -> None:
    gate(host="0.0.0.0").check_browser("worker.example", "https://some.page")
