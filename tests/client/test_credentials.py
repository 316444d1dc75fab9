"""Credentials: which variable counts for which address, and that none is ever shown."""

import pytest

from framewire.client.address import parse_address
from framewire.client.credentials import Credentials, credentials_from_env
from framewire.client.errors import AuthError

FAL = parse_address("fal-ai/krea-wan-14b")
WORKER = parse_address("ws://127.0.0.1:8000/ws")


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"FAL_KEY": "id:secret"}, "id:secret"),
        ({"FAL_KEY": " id:secret\n"}, "id:secret"),
        ({"FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}, "id:secret"),
        ({"FAL_API_KEY": "demo"}, "demo"),
        ({"FAL_KEY": "first", "FAL_API_KEY": "second"}, "first"),
    ],
)
def test_fal_keys_are_found_in_all_their_forms(environ: dict[str, str], key: str) -> None:
    """The variables of fal's own clients and of its demo app all work."""
    assert credentials_from_env(FAL, environ).key == key


def test_no_fal_key_names_the_variables() -> None:
    """Half a key pair is none; the error says what to set."""
    with pytest.raises(AuthError, match="FAL_KEY_ID and FAL_KEY_SECRET"):
        credentials_from_env(FAL, {"FAL_KEY_ID": "id", "FRAMEWIRE_KEY": "other"})


def test_a_fal_key_is_never_offered_to_a_worker() -> None:
    """FAL_KEY must not leak to whatever host a URL names."""
    assert not credentials_from_env(WORKER, {"FAL_KEY": "id:secret"})


@pytest.mark.parametrize("name", ["token", "key", "secret"])
def test_worker_variables(name: str) -> None:
    """FRAMEWIRE_TOKEN, FRAMEWIRE_KEY and FRAMEWIRE_SECRET count for workers."""
    found = credentials_from_env(WORKER, {f"FRAMEWIRE_{name.upper()}": "x"})
    assert getattr(found, name) == "x"


def test_two_credentials_at_once_are_refused() -> None:
    """Which one counts would be a guess."""
    with pytest.raises(AuthError, match="key and token"):
        Credentials(key="a", token="b")


@pytest.mark.parametrize("key", ["", "Key abc", "abc\r\nX-Evil: 1"])
def test_a_key_that_is_no_header_value_is_refused_unseen(key: str) -> None:
    """Line breaks would become headers; and the error does not repeat the key."""
    with pytest.raises(AuthError) as caught:
        Credentials(key=key)
    assert "abc" not in str(caught.value)


def test_repr_shows_nothing() -> None:
    """Credentials end up in tracebacks and debuggers."""
    assert "hidden" not in repr(Credentials(secret="hidden"))


@pytest.mark.parametrize("text", ["localhost/ws", "127.0.0.1/app", "gpu:8000", "gpu:443/a/b/ws"])
def test_a_host_without_a_scheme_is_offered_no_fal_key(text: str) -> None:
    """It was once taken for an app of an owner by that name."""
    environ = {"FAL_KEY": "id:secret", "FRAMEWIRE_KEY": "k"}
    assert credentials_from_env(parse_address(text), environ).key == "k"
    assert credentials_from_env(parse_address("owner/alias"), environ).key == "id:secret"


def test_an_empty_variable_is_as_unset() -> None:
    """The next one counts."""
    environ = {"FRAMEWIRE_TOKEN": "", "FRAMEWIRE_KEY": " ", "FRAMEWIRE_SECRET": "s"}
    assert credentials_from_env(WORKER, environ).secret == "s"
    assert not credentials_from_env(WORKER, dict.fromkeys(environ, ""))
