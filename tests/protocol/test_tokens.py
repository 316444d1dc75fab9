"""Tokens as data: requests, claims, and every shape in which mints answer."""

import pytest
from pydantic import ValidationError

from framewire.protocol import (
    ALGORITHM,
    RealtimeTokenRequest,
    TokenRequest,
    claims,
    mint_headers,
    token_in,
    token_in_body,
)
from framewire.protocol.tokens import DEFAULT_EXPIRATION, MAX_EXPIRATION


def test_the_body_that_fal_client_sends_is_read() -> None:
    body = b'{"allowed_apps":["krea-wan-14b"],"token_expiration":5000}'
    request = TokenRequest.model_validate_json(body)
    assert request.allowed_apps == ("krea-wan-14b",)
    assert request.token_expiration == 5000


def test_the_life_of_a_token_has_a_default_and_a_cap() -> None:
    assert TokenRequest(allowed_apps=("a",)).token_expiration == DEFAULT_EXPIRATION == 120
    assert TokenRequest(allowed_apps=("a",), token_expiration=MAX_EXPIRATION)
    for wrong in (0, -1, MAX_EXPIRATION + 1):
        with pytest.raises(ValidationError):
            TokenRequest(allowed_apps=("a",), token_expiration=wrong)


@pytest.mark.parametrize("apps", [[], [""], ["x" * 129], ["a"] * 17, "krea-wan-14b", None])
def test_a_token_must_name_its_apps(apps: object) -> None:
    with pytest.raises(ValidationError):
        TokenRequest.model_validate({"allowed_apps": apps})


@pytest.mark.parametrize("app", ["fal-ai/krea-wan-14b", "krea-wan-14b/", "/"])
def test_a_token_names_aliases_alone(app: str) -> None:
    with pytest.raises(ValidationError, match="without owner or path"):
        TokenRequest(allowed_apps=(app,))


def test_the_newer_request_keeps_the_alias_of_a_whole_app() -> None:
    body = b'{"app":"fal-ai/krea-wan-14b/realtime","duration":60}'
    grant = RealtimeTokenRequest.model_validate_json(body).grant
    assert (grant.allowed_apps, grant.token_expiration) == (("krea-wan-14b",), 60)
    assert RealtimeTokenRequest(app="krea-wan-14b").grant.token_expiration == DEFAULT_EXPIRATION


def test_claims_hold_whole_seconds() -> None:
    request = TokenRequest(allowed_apps=("a", "b"), token_expiration=60)
    assert claims(request, 1000.9) == {"allowed_apps": ["a", "b"], "iat": 1000, "exp": 1060}
    assert ALGORITHM == "HS256"


@pytest.mark.parametrize(
    "answer",
    [
        "TOKEN",
        {"token": "TOKEN"},
        {"jwt": "TOKEN"},
        {"access_token": "TOKEN"},
        {"detail": "TOKEN"},
        {"token": "", "jwt": None, "access_token": "TOKEN"},
    ],
)
def test_every_answer_shape_seen_in_use_is_read(answer: object) -> None:
    assert token_in(answer) == "TOKEN"


@pytest.mark.parametrize("answer", ["", None, {}, {"token": ""}, {"token": 5}, [], ["TOKEN"], 5])
def test_an_answer_without_a_token_says_so_without_repeating_it(answer: object) -> None:
    with pytest.raises(ValueError, match=f"no token in the answer .a {type(answer).__name__}"):
        token_in(answer)


@pytest.mark.parametrize("body", [b'"a.b.c"', b'{"token":"a.b.c"}', b"a.b.c", b" a.b.c\n"])
def test_a_token_is_found_in_json_and_bare(body: bytes) -> None:
    assert token_in_body(body) == "a.b.c"


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"<html>", b'"two words"', b'"a\\nb"', b'"\xc3\xa4"', b"\xff", b"[" * 99_999],
)
def test_a_body_without_a_token_that_a_header_can_carry_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no token in the answer"):
        token_in_body(body)


def test_a_mint_is_asked_with_the_key_and_for_an_answer_as_it_is() -> None:
    """One that is compressed could be far larger than what came."""
    assert mint_headers("id:secret") == {
        "Authorization": "Key id:secret",
        "Accept-Encoding": "identity",
    }
