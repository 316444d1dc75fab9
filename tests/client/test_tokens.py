"""Tokens: every answer shape, caching and renewal, refusals; nothing leaks into errors."""

import asyncio
import contextlib
import gzip
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

import httpx
import jwt
import pytest
from support.servers.stand_in import tcp_server, token_endpoint

from framewire.client.address import parse_address
from framewire.client.credentials import Credentials
from framewire.client.errors import AuthError, ConnectError
from framewire.client.tokens import GivenToken, MintedTokens, life_of, mint_here, token_source
from framewire.client.validity import why_refused
from framewire.protocol import TokenRequest

SECRET = "a secret that is long enough for HS256"


def some_jwt(**claims: Any) -> str:
    return jwt.encode({"allowed_apps": ["krea-wan-14b"], **claims}, SECRET)


def with_claims(text: str) -> str:
    return f"a.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}.c"


HOSTILE_CLAIMS = [
    '{"exp": 1e999}',
    '{"exp": NaN}',
    '{"exp": -Infinity}',
    f'{{"exp": 1{"0" * 400}}}',
    f'{{"exp": 1{"0" * 9000}}}',
    '{"exp": true, "iat": []}',
    "[" * 50_000,
    '{"exp":' * 50_000,
]


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"token": t}, lambda t: {"detail": t}])
async def test_every_answer_shape_of_the_token_endpoint(wrap: Any) -> None:
    """A bare JSON string and both maps give the same token."""
    token = some_jwt()
    async with token_endpoint(lambda n: wrap(token)) as endpoint:
        assert await _source(endpoint.url).get() == token
    headers, body = endpoint.requests[0]
    assert headers["authorization"] == "Key id:key"
    assert body == {"allowed_apps": ["krea-wan-14b"], "token_expiration": 120}


async def test_a_token_as_plain_text_is_taken_too() -> None:
    """Some proxies strip the quotes."""
    async with token_endpoint(lambda n: some_jwt(), raw=True) as endpoint:
        assert await _source(endpoint.url).get() == some_jwt()


async def test_a_token_is_asked_for_once_while_it_is_good() -> None:
    """Ten connections in a row do not ask ten times."""
    async with token_endpoint(lambda n: some_jwt(n=n)) as endpoint:
        source = _source(endpoint.url)
        assert len({await source.get() for _ in range(10)}) == 1
    assert len(endpoint.requests) == 1


async def test_a_refused_token_is_replaced() -> None:
    """After the server said no, the next connection gets another token."""
    async with token_endpoint(lambda n: some_jwt(n=n)) as endpoint:
        source = _source(endpoint.url)
        first = await source.get()
        source.refused()
        assert await source.get() != first


@pytest.mark.parametrize(
    ("life", "readable", "kept", "renewed"),
    [(600, True, 569, 571), (40, True, 29, 31), (600, False, 569, 571)],
)
async def test_renewed_before_it_expires(
    life: int, readable: bool, kept: int, renewed: int
) -> None:
    """By its own claims, or by the life asked for; with a margin; on the monotonic clock."""
    now, minted = 0.0, 0

    async def mint() -> str:
        nonlocal minted
        minted += 1
        # iat lies: a server's clock that is an hour off must not matter.
        began = int(time.time()) + 3600
        return some_jwt(iat=began, exp=began + life) if readable else "opaque"

    tokens = MintedTokens(mint, 9999 if readable else life, clock=lambda: now)
    await tokens.get()
    now = float(kept)
    await tokens.get()
    assert minted == 1
    now = float(renewed)
    await tokens.get()
    assert minted == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_an_auth_error_without_the_key(status: int) -> None:
    """The endpoint may echo what it was sent; the error must not."""
    async with token_endpoint(lambda n: {"detail": "bad key id:key"}, status=status) as endpoint:
        with pytest.raises(AuthError) as caught:
            await _source(endpoint.url).get()
    assert "id:key" not in str(caught.value)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        {"token": None},
        7,
        "a b",
        "a\r\nX-Evil: 1",
        {"token": "é"},
        {"detail": "\x1b[2J"},
    ],
)
async def test_an_answer_without_a_token_says_so(answer: Any) -> None:
    """No later failure with a strange token in it."""
    async with token_endpoint(lambda n: answer) as endpoint:
        with pytest.raises(ConnectError, match="without a token"):
            await _source(endpoint.url).get()


JSON_OF_DEPTH = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000
GZIP = gzip.compress(bytes(30_000_000))


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [JSON_OF_DEPTH],
        lambda: [b"HTTP/1.1 200 OK\r\n\r\n", *repeat(b"x" * 65536, 1000)],
        lambda: [
            b"HTTP/1.1 500 No\r\nContent-Length: 9000000000\r\n\r\n",
            *repeat(b"x" * 65536, 1000),
        ],
        lambda: [
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP),
            GZIP,
        ],
        lambda: [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=base64\r\n\r\nx"],
    ],
    ids=["nested", "endless", "endless refusal", "bomb", "charset"],
)
async def test_what_an_endpoint_may_answer_is_bounded(parts: Callable[[], Iterable[bytes]]) -> None:
    """It is read no further than a token may be long, and is never unpacked."""
    sent = 0

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            for part in parts():
                writer.write(part)
                await writer.drain()
                sent += len(part)

    async with tcp_server(answers) as port:
        with pytest.raises(ConnectError) as caught:
            await _source(f"http://127.0.0.1:{port}/tokens/").get()
    assert len(str(caught.value)) < 500
    assert sent < 30_000_000, "the rest was left unread"


async def test_an_answer_that_comes_drop_by_drop_has_a_time_to_be_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framewire.client.tokens.MINT_TIMEOUT", 0.3)

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with tcp_server(drips) as port:
        with pytest.raises(ConnectError, match="no whole answer"):
            async with asyncio.timeout(60):
                await _source(f"http://127.0.0.1:{port}/tokens/").get()


async def test_an_unreachable_endpoint_is_a_connect_error_without_a_chain() -> None:
    """httpx's exceptions hold the request with its Authorization: none is kept."""
    with pytest.raises(ConnectError) as caught:
        await _source("http://127.0.0.1:9/tokens/").get()
    assert not isinstance(caught.value.__context__, httpx.HTTPError) or (
        caught.value.__suppress_context__
    )


async def test_a_secret_mints_here_what_a_worker_accepts() -> None:
    """HS256 with the claims of the protocol."""
    source = token_source(
        parse_address("ws://host/me/mine/ws"), Credentials(secret=SECRET), expiration=60
    )
    token = await source.get()
    assert token is not None
    found = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert found["allowed_apps"] == ["mine"]
    assert found["exp"] - found["iat"] == 60


async def test_a_given_token_is_used_as_it_is() -> None:
    """And an absent one stays absent."""
    assert await GivenToken("x").get() == "x"
    address = parse_address("ws://host/ws")
    assert await token_source(address, Credentials(), expiration=60).get() is None


@pytest.mark.parametrize(
    "token",
    [
        *("", "opaque", "a.b.c", "a.W10.c", some_jwt(), "..", "é.é.é"),
        *(with_claims(claims) for claims in HOSTILE_CLAIMS),
    ],
    ids=range(7 + len(HOSTILE_CLAIMS)),
)
def test_tokens_that_do_not_tell_their_life(token: str) -> None:
    """Whatever is in there, reading it never fails; nor does judging it."""
    assert life_of(token) is None
    assert why_refused(token, None) is None


def test_life_of_a_token_of_ours() -> None:
    """The life that was asked for."""
    token = mint_here(SECRET, TokenRequest(allowed_apps=("a",), token_expiration=77))
    assert life_of(token) == 77


def _source(url: str) -> GivenToken | MintedTokens:
    address = parse_address("fal-ai/krea-wan-14b", token_url=url)
    return token_source(address, Credentials(key="id:key"), expiration=120)
