"""Addresses: what a caller may write, and that secrets never come out of one."""

import pytest

from framewire.client.address import parse_address, redact
from framewire.client.errors import AddressError
from framewire.protocol import FAL_TOKEN_URL


@pytest.mark.parametrize(
    ("text", "url", "alias", "is_fal"),
    [
        ("fal-ai/krea-wan-14b", "wss://fal.run/fal-ai/krea-wan-14b/ws", "krea-wan-14b", True),
        ("fal-ai/krea-wan-14b/ws", "wss://fal.run/fal-ai/krea-wan-14b/ws", "krea-wan-14b", True),
        ("me/mine/realtime", "wss://fal.run/me/mine/realtime", "mine", True),
        ("wss://fal.run/me/mine/ws", "wss://fal.run/me/mine/ws", "mine", True),
        ("ws://host:8000/ws", "ws://host:8000/ws", "krea-wan-14b", False),
        ("http://host:8000", "ws://host:8000/ws", "krea-wan-14b", False),
        ("https://host/session/a", "wss://host/session/a", "krea-wan-14b", False),
        ("ws://host/me/mine/ws?events=1", "ws://host/me/mine/ws?events=1", "mine", False),
        ("ws://[::1]:8000/ws", "ws://[::1]:8000/ws", "krea-wan-14b", False),
        ("localhost", "ws://localhost/ws", "krea-wan-14b", False),
        ("localhost/ws", "ws://localhost/ws", "krea-wan-14b", False),
        ("localhost/me/mine/ws", "ws://localhost/me/mine/ws", "mine", False),
        ("gpu:8000", "ws://gpu:8000/ws", "krea-wan-14b", False),
        ("gpu:8000/me/mine/ws?events=1", "ws://gpu:8000/me/mine/ws?events=1", "mine", False),
        ("gpu.example:443", "wss://gpu.example:443/ws", "krea-wan-14b", False),
        ("10.0.0.7/ws", "ws://10.0.0.7/ws", "krea-wan-14b", False),
        ("127.0.0.1?events=1", "ws://127.0.0.1/ws?events=1", "krea-wan-14b", False),
        ("::1", "ws://[::1]/ws", "krea-wan-14b", False),
        ("[::1]:8000/ws", "ws://[::1]:8000/ws", "krea-wan-14b", False),
        ("fal-ai/localhost", "wss://fal.run/fal-ai/localhost/ws", "localhost", True),
        ("localhost.example/app", "wss://fal.run/localhost.example/app/ws", "app", True),
    ],
)
def test_urls_and_app_ids_become_one_address(text: str, url: str, alias: str, is_fal: bool) -> None:
    """Whatever form the caller writes, the socket's URL and the app for the token are right."""
    address = parse_address(text)
    assert (address.url, address.alias, address.is_fal) == (url, alias, is_fal)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "krea",
        "ftp://host/ws",
        "ws://",
        "ws://host:port/ws",
        "a b/c",
        "ws://h:99999/ws",
        "h:99999",
        "h:x/ws",
        "me@h:1",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """A typo is told from an unreachable host."""
    with pytest.raises(AddressError):
        parse_address(text)


def test_the_run_host_replaces_fals() -> None:
    """FAL_RUN_HOST leads app ids to another gateway, which gets the token as fal's does."""
    address = parse_address("me/mine", run_host="localhost:8443")
    assert address.url == "wss://localhost:8443/me/mine/ws"
    assert address.is_fal


def test_tokens_come_from_fal_or_from_beside_the_worker() -> None:
    """A key for fal goes to fal's token endpoint, a worker's to the worker's own."""
    assert parse_address("me/mine").token_url == FAL_TOKEN_URL
    assert parse_address("ws://host:1/ws").token_url == "http://host:1/tokens/"
    assert parse_address("wss://host/a/b/ws").token_url == "https://host/tokens/"
    assert parse_address("me/mine", token_url="http://x/t").token_url == "http://x/t"


def test_a_key_for_another_gateway_is_not_taken_to_fal() -> None:
    """FAL_RUN_HOST may name a worker, whose key fal must not see."""
    for text in ("me/mine", "wss://localhost:8443/ws"):
        address = parse_address(text, run_host="localhost:8443")
        assert address.token_url == "https://localhost:8443/tokens/" and address.is_fal
    for text in ("wss://fal.run/me/mine/ws", "wss://x.fal.run/ws"):
        assert parse_address(text, run_host="localhost:8443").token_url == FAL_TOKEN_URL


def test_a_token_in_the_query_replaces_the_one_before_and_never_shows() -> None:
    """The URL that goes out carries the token once; what is printed carries none."""
    address = parse_address("ws://host/ws?fal_jwt_token=old&events=1")
    assert address.has_token
    assert address.with_token("new") == "ws://host/ws?events=1&fal_jwt_token=new"
    assert "old" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "text",
    [
        "GET /ws?fal_jwt_token=hidden&x=1 HTTP/1.1",
        "Authorization: Key hidden:hidden",
        "authorization: Bearer hidden",
        "token eyJhidden.eyJhidden.hidden expired",
        "wss://me:hidden@host/ws",
    ],
)
def test_every_form_of_a_secret_is_redacted(text: str) -> None:
    """Keys, tokens and passwords are dotted out of any text."""
    assert "hidden" not in redact(text)
