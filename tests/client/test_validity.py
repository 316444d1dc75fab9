"""An expired token and a wrong clock are told apart, by the server's own clock."""

import asyncio
import re
import time
from email.utils import formatdate
from typing import Any

import jwt
import pytest
from support.servers.worker_server import Running, command, serving

from framewire.client import AuthError, connect
from framewire.client.cli import main
from framewire.client.validity import server_time, why_refused

SECRET = "a secret that is long enough for HS256"
JWT = {"auth": "jwt", "secret": SECRET}


class Clock:
    """This machine's, off by some seconds; only the client's modules look at it."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def time(self) -> float:
        return time.time() + self._ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_clock(ahead: float) -> None:
        for module in ("tokens", "validity"):
            monkeypatch.setattr(f"framewire.client.{module}.time", Clock(ahead))

    return set_clock


def token(issued: float = 0.0, life: float = 60.0) -> str:
    now = time.time() + issued
    claims = {"allowed_apps": ["krea-wan-14b"], "iat": now, "exp": now + life}
    return jwt.encode(claims, SECRET)


async def refusal(worker: Running, **options: Any) -> AuthError:
    with pytest.raises(AuthError) as caught:
        await connect(worker.url, **options)
    assert caught.value.code == "UNAUTHORIZED"
    return caught.value


async def test_a_clock_that_is_behind_is_named_not_the_token(off: Any) -> None:
    """Minted here with the shared secret, a token of this machine's past is over at once."""
    async with serving(**JWT) as worker:
        off(-3600)
        error = await refusal(worker, secret=SECRET)
    told = r"the token is over by the server's clock, which is 3[56]\d\d s ahead of this machine's"
    assert re.search(told, str(error))
    assert "set the wrong one of the two clocks" in error.hint


async def test_a_clock_that_is_ahead_is_named_too(off: Any) -> None:
    async with serving(**JWT) as worker:
        off(3600)
        error = await refusal(worker, secret=SECRET)
    told = r"from the future by the server's clock, which is 3[56]\d\d s behind this machine's"
    assert re.search(told, str(error))


@pytest.mark.parametrize("in_url", [False, True])
async def test_an_expired_token_is_one_whatever_clock_is_right(in_url: bool) -> None:
    async with serving(**JWT) as worker:
        old = token(issued=-1000, life=100)
        url = f"{worker.url}?fal_jwt_token={old}"
        with pytest.raises(AuthError, match=r"the token expired [89]\d\d s ago") as caught:
            await (connect(url) if in_url else connect(worker.url, token=old))
    assert "mint another" in caught.value.hint


async def test_a_token_that_is_refused_for_something_else_is_not_blamed_on_time() -> None:
    async with serving(**JWT) as worker:
        error = await refusal(worker, secret="another secret that is long enough")
    assert "clock" not in str(error) and "expired" not in str(error)


@pytest.mark.parametrize(
    ("ahead", "issued", "life", "says"),
    [
        (0, -1000, 100, "FAIL  token        the token expired "),
        (7200, -10, 3600, "ok    token "),
        (-7200, -3700, 3600, "FAIL  token        the token is over by the server's clock, "),
        (0, 3600, 60, "FAIL  token        the token is from the future, by 3"),
    ],
)
async def test_doctor_asks_the_server_for_the_time(
    ahead: float,
    issued: float,
    life: float,
    says: str,
    off: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before it calls a token expired; a wrong clock here makes no good token a bad one."""
    async with command("--auth", "jwt", "--secret", SECRET) as worker:
        given = token(issued, life)
        off(ahead)
        code = await asyncio.to_thread(
            main, ["doctor", "--url", worker.url, "--token", given, "--timeout", "30"]
        )
    out = capsys.readouterr().out
    assert says in out
    assert code == ("FAIL" in says)


def test_what_tells_no_time_is_not_judged() -> None:
    for odd in ("no token", "a.b.c", "x.e30.y", "x.eyJleHAiOiJzb29uIn0.y"):
        assert why_refused(odd, time.time()) is None
    assert server_time({}) is server_time({"Date": "yesterday"}) is None
    assert server_time({"Date": formatdate(1_000_000_000, usegmt=True)}) == 1_000_000_000
