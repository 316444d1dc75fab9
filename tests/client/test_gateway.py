"""Our client behind fal's gateway on good and bad days, with a real worker at the other end."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.servers.gateway import ALIAS, Gateway, gateway
from support.servers.stand_in import after_params, stand_in
from support.servers.worker_server import serving
from support.viewers.raw_viewer import SMALL

from framewire.client import (
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    FramewireError,
    Session,
    connect,
)
from framewire.client.address import parse_address
from framewire.client.inbox import Inbox
from framewire.client.opening import Opener
from framewire.client.tokens import MintedTokens, mint_there
from framewire.protocol import TokenRequest


@pytest.fixture
async def fal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    async with serving() as worker, gateway(worker.url) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


async def stream(fal: Gateway, **options: Any) -> int:
    """Frames of one whole stream."""
    async with connect(fal.url, token_url=fal.token_url, **options) as session:
        await session.start("a red circle", num_blocks=2, **SMALL)
        return len([frame async for frame in session])


@pytest.mark.parametrize(
    "wrap",
    [lambda token: token, lambda token: {"token": token}, lambda token: {"detail": token}],
    ids=["bare", "token", "detail"],
)
async def test_a_stream_passes_with_every_shape_of_token_answer(
    fal: Gateway, wrap: Callable[[str], Any]
) -> None:
    fal.wrap = wrap
    assert await stream(fal) == 18
    assert fal.used == fal.minted


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_an_auth_error_before_any_socket(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway("ws://127.0.0.1:1/", mint_status=status) as fal:
        for name, value in fal.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AuthError, match=f"HTTP {status}") as caught:
            await stream(fal)
        assert "secret" not in str(caught.value)
        assert fal.used == [] and fal.refused_tokens == 0


@pytest.mark.parametrize(
    ("refuses", "kind", "says"),
    [
        ((1011, "Error while forwarding the request"), ConnectError, "does the app exist"),
        ((1008, "Forbidden"), AuthError, "is the token valid"),
        ((1013, "no runner is free"), CapacityError, "try again later"),
        ((1000, ""), ConnectError, "without a reason"),
    ],
)
async def test_what_goes_wrong_after_the_upgrade_is_named(
    fal: Gateway, refuses: tuple[int, str], kind: type[FramewireError], says: str
) -> None:
    fal.refuses = refuses
    with pytest.raises(kind, match=says):
        await stream(fal)


async def test_an_app_that_does_not_exist_is_told_from_a_bad_token(fal: Gateway) -> None:
    with pytest.raises(ConnectError, match="does the app exist") as caught:
        async with connect(f"ws://{fal.netloc}/fal-ai/other/ws", token_url=fal.token_url):
            pass
    assert not isinstance(caught.value, AuthError)


async def test_a_given_token_that_is_bad_is_an_auth_error_without_the_token(fal: Gateway) -> None:
    with pytest.raises(AuthError, match="1008") as caught:
        await stream(fal, token="eyJbad.eyJbad.bad")
    assert "eyJbad" not in str(caught.value) and fal.refused_tokens == 1


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011])
async def test_a_session_cut_in_mid_stream_is_a_lost_connection(
    fal: Gateway, code: int | None
) -> None:
    """The frames before the cut are read, and it never looks like the stream's end."""
    fal.cuts_after, fal.cuts_with = 11, code
    got = 0
    with pytest.raises(ConnectionLost) as caught:
        async with connect(fal.url, token_url=fal.token_url) as session:
            await session.start("a red circle", num_blocks=1000, **SMALL)
            async for _ in session:
                got += 1
    assert caught.value.close_code == code
    assert got == 10 or (code is None and got <= 10)


async def test_tokens_are_renewed_while_a_stream_runs(fal: Gateway) -> None:
    """An open socket outlives its token; the next one gets a fresh one, not the old."""
    now = 0.0
    request = TokenRequest(allowed_apps=(ALIAS,), token_expiration=120)
    tokens = MintedTokens(
        lambda: mint_there(fal.token_url, "id:secret", request), 120, clock=lambda: now
    )
    opener = Opener(parse_address(fal.url, run_host=fal.netloc), tokens)

    async def session() -> Session:
        return Session(await opener(), name="fal", inbox=Inbox(1, "wait"))

    async with await session() as first:
        await first.start("a red circle", num_blocks=6, **SMALL)
        read = [await anext(first) for _ in range(8)]
        async with await session():
            assert len(fal.minted) == 1
        now, fal.age = 121.0, 121.0
        async with await session() as second:
            await second.start("a blue square", num_blocks=1, **SMALL)
            assert len([frame async for frame in second]) == 6
        read += [frame async for frame in first]
    assert len(read) == 66
    assert len(fal.minted) == 2 and fal.refused_tokens == 0
    assert fal.used == [fal.minted[0], fal.minted[0], fal.minted[1]]


async def test_a_token_that_the_gateway_refuses_is_not_offered_again(fal: Gateway) -> None:
    """As where the gateway's clock is ahead: the token is stale though its time is not over."""
    request = TokenRequest(allowed_apps=(ALIAS,), token_expiration=120)
    tokens = MintedTokens(lambda: mint_there(fal.token_url, "id:secret", request), 120)
    opener = Opener(parse_address(fal.url, run_host=fal.netloc), tokens)
    await (await opener()).close()
    fal.age = 1000
    with pytest.raises(AuthError):
        await opener()
    await (await opener()).close()
    assert len(fal.minted) == 2 and fal.refused_tokens == 1


@pytest.mark.parametrize("reason", ["", "no runner is free"])
async def test_a_close_that_says_full_is_no_lost_connection(reason: str) -> None:
    """Also in mid stream, and whether or not it says more than its code."""
    async with (
        stand_in(after_params(code=1013, reason=reason, frames=2)) as server,
        connect(server.url) as session,
    ):
        await session.start("a fox")
        with pytest.raises(CapacityError, match="closed with 1013") as caught:
            _ = [frame async for frame in session]
    assert caught.value.code == "AT_CAPACITY"
