"""Clocks that jump while tokens are about: running streams go on, doors judge by the clock alone."""

import datetime as real_datetime
import time
from types import SimpleNamespace
from typing import Any

import jwt.api_jwt
import pytest
from support.servers.worker_server import serving
from support.viewers.raw_viewer import Closed, connected, opened

from framewire.client import connect
from framewire.client.tokens import MintedTokens, mint_here
from framewire.protocol import TokenRequest

SECRET = "a secret of more than thirty-two bytes"
REQUEST = TokenRequest(allowed_apps=("krea-wan-14b",), token_expiration=60)
DAY = 24 * 3600.0


class Clock:
    """The wall clock of everything that makes or reads tokens in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        self._time = time.time
        clock = self

        class Shifted(real_datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return real_datetime.datetime.fromtimestamp(clock(), tz)

        monkeypatch.setattr(jwt.api_jwt, "datetime", Shifted)
        fake = SimpleNamespace(time=self, monotonic=time.monotonic)
        monkeypatch.setattr("framewire.worker.server.auth.time", fake)
        monkeypatch.setattr("framewire.client.tokens.time", fake)

    def __call__(self) -> float:
        return self._time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_a_stream_outlives_its_token_and_the_token_opens_no_other(clock: Clock) -> None:
    async with serving(auth="jwt", secret=SECRET) as worker:
        url = f"{worker.url}?fal_jwt_token={mint_here(SECRET, REQUEST)}"
        async with connected(url) as viewer:
            await viewer.say(prompt="a", num_blocks=10**9, fps=200, width=64, height=64)
            await viewer.frame()
            clock.ahead = DAY
            async with opened(url) as late:
                received = await late.end()
            assert received.texts[0]["error"] == "UNAUTHORIZED"
            assert "expired" in received.texts[0]["reason"]
            assert isinstance(received.last, Closed) and received.last.code == 1008
            await viewer.frame(30)
            await viewer.say(num_blocks=1)
            await viewer.stream()


async def test_a_token_from_a_clock_that_is_ahead_opens_the_door(clock: Clock) -> None:
    """Machines' clocks differ by seconds, and are set back: that a token is young is no fault."""
    async with serving(auth="jwt", secret=SECRET) as worker:
        token = mint_here(SECRET, REQUEST)
        clock.ahead = -30
        async with connected(f"{worker.url}?fal_jwt_token={token}"):
            pass


async def test_the_client_mints_anew_after_its_clock_jumped_past_an_expiry(clock: Clock) -> None:
    async with serving(auth="jwt", secret=SECRET) as worker:
        for ahead in (0.0, DAY, -DAY):
            clock.ahead = ahead
            async with connect(worker.url, secret=SECRET) as session:
                await session.start("a", num_blocks=1, width=64, height=64)
                assert len([frame async for frame in session]) == 6


async def test_a_minted_token_is_renewed_by_time_that_passed_and_not_by_the_wall_clock(
    clock: Clock,
) -> None:
    minted: list[str] = []
    passed = 0.0

    async def mint() -> str:
        minted.append(mint_here(SECRET, REQUEST))
        return minted[-1]

    source = MintedTokens(mint, 60, clock=lambda: passed)
    await source.get()
    clock.ahead = DAY
    await source.get()
    clock.ahead = -DAY
    await source.get()
    assert len(minted) == 1
    passed = 59.0
    await source.get()
    assert len(minted) == 2
