"""`framewire doctor` names the step at which the way ends, and what to do about it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest
from support.servers.gateway import Gateway, gateway
from support.servers.stand_in import Peer, after_params, says_nothing, stand_in, streams
from support.servers.worker_server import serving

from framewire.client.cli import main
from framewire.client.commands.doctor import STEPS
from framewire.protocol import Ready

SECRET = "a secret that is long enough for HS256"
KEYS = ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FAL_API_KEY", "FAL_RUN_HOST")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "FRAMEWIRE_TOKEN", "FRAMEWIRE_KEY", "FRAMEWIRE_SECRET"):
        monkeypatch.delenv(name, raising=False)


async def doctor(
    capsys: pytest.CaptureFixture[str], *args: str, seconds: int = 60
) -> dict[str, Any]:
    """What it says as JSON; its exit code is checked on the way."""
    code = await asyncio.to_thread(main, ("doctor", "--json", f"--timeout={seconds}", *args))
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if said["ok"] else 1)
    assert [step["step"] for step in said["steps"]] == list(STEPS)
    return said


def failed(said: dict[str, Any], step: str) -> dict[str, Any]:
    """The finding of `step`, at which and nowhere else the way has ended."""
    at = STEPS.index(step)
    assert said["failed"] == step, said
    assert [one["ok"] for one in said["steps"]] == [True] * at + [False] + [None] * (4 - at)
    finding: dict[str, Any] = said["steps"][at]
    return finding


async def test_a_worker_that_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as worker:
        said = await doctor(capsys, "--url", worker.url)
    assert said["ok"] and said["failed"] is None
    assert "JPEG" in said["steps"][-1]["detail"]
    assert all(step["seconds"] >= 0 for step in said["steps"])


async def test_fal_that_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as worker, gateway(worker.url) as fal:
        for name, value in fal.environment.items():
            monkeypatch.setenv(name, value)
        said = await doctor(capsys, "--url", fal.url, "--token-url", fal.token_url)
    assert said["ok"] and "behind fal" in said["steps"][0]["detail"]
    assert "it lives 120 s" in said["steps"][2]["detail"]


Mood = Callable[[Gateway], Any]
BROKEN: dict[str, tuple[str, dict[str, Any], Mood | None, str]] = {
    "no key": ("key", {"environ": {"FAL_KEY": ""}}, None, "FAL_KEY"),
    "a key with a line break": ("key", {"environ": {"FAL_KEY": "id:sec\nret"}}, None, "spaces"),
    "key refused": ("token", {"mint_status": 401}, None, "HTTP 401"),
    "app not allowed": ("token", {"mint_status": 403}, None, "HTTP 403"),
    "token endpoint broken": ("token", {"mint_status": 500}, None, "HTTP 500"),
    "no token in the answer": (
        "token",
        {},
        lambda fal: setattr(fal, "wrap", lambda token: {"expires": 1}),
        "without a token",
    ),
    "token not accepted": ("connect", {}, lambda fal: setattr(fal, "life", -10), "1008"),
    "upgrade then 1011": (
        "connect",
        {},
        lambda fal: setattr(fal, "refuses", (1011, "Error while forwarding the request")),
        "1011",
    ),
    "busy": ("connect", {}, lambda fal: setattr(fal, "refuses", (1013, "busy")), "1013"),
    "closed without a reason": (
        "connect",
        {},
        lambda fal: setattr(fal, "refuses", (1000, "")),
        "without a reason",
    ),
    "cut before the first frame": (
        "first frame",
        {},
        lambda fal: setattr(fal, "cuts_after", 1),
        "broke",
    ),
}


@pytest.mark.parametrize("state", BROKEN)
async def test_each_broken_state_of_fal_is_named(
    state: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, options, mood, says = BROKEN[state]
    environ = options.pop("environ", {}) if "environ" in (options := dict(options)) else {}
    async with serving() as worker, gateway(worker.url, **options) as fal:
        for name, value in (fal.environment | environ).items():
            monkeypatch.setenv(name, value)
        if mood is not None:
            mood(fal)
        said = await doctor(capsys, "--url", fal.url, "--token-url", fal.token_url)
    finding = failed(said, step)
    assert says in finding["detail"] + finding["hint"]
    assert "secret" not in json.dumps(said)


Script = Callable[[Peer], Awaitable[None]]


async def ready_then_silent(peer: Peer) -> None:
    await peer.say(Ready())
    await peer.until_closed()


async def completes_at_once(peer: Peer) -> None:
    await peer.say(Ready())
    await peer.hear()
    await peer.socket.send('{"status":"completed"}')
    await peer.until_closed()


@pytest.mark.parametrize(
    ("script", "step", "says"),
    [
        (says_nothing, "connect", "not ready within 3 s"),
        (ready_then_silent, "first frame", "no answer to the params"),
        (completes_at_once, "first frame", "without a frame"),
        (after_params(code=1001), "first frame", "1001"),
        (
            after_params(
                code=1011,
                say='{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":"it broke"}',
            ),
            "first frame",
            "it broke",
        ),
        (
            after_params(code=1008, say='{"error":[{"loc":["prompt"],"msg":"not that one"}]}'),
            "first frame",
            "not that one",
        ),
    ],
    ids=["silent", "no frame", "empty stream", "closed", "worker broke", "params refused"],
)
async def test_each_broken_state_of_a_worker_is_named(
    script: Script, step: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand_in(script) as server:
        seconds = 3 if script in (says_nothing, ready_then_silent) else 60
        said = await doctor(capsys, "--url", server.url, seconds=seconds)
    assert says in failed(said, step)["detail"]


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_a_refused_upgrade_is_named(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with stand_in(streams, refuse=status) as server:
        said = await doctor(capsys, "--url", server.url)
    assert f"HTTP {status}" in failed(said, "connect")["detail"]


async def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    async with stand_in(streams) as server:
        url = server.url
    finding = failed(await doctor(capsys, "--url", url), "connect")
    assert "is the worker running" in finding["hint"]
    unreachable = url.replace("ws", "http", 1)
    said = await doctor(capsys, "--url", url, "--key", "k", "--token-url", unreachable)
    assert "cannot be reached" in failed(said, "token")["detail"]


async def test_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("ftp://127.0.0.1/", "nonsense", "ws://127.0.0.1:99999/"):
        failed(await doctor(capsys, "--url", text), "address")


def token(**claims: Any) -> str:
    now = int(time.time())
    usual = {"iat": now, "exp": now + 60, "allowed_apps": ["krea-wan-14b"]}
    return jwt.encode(usual | claims, SECRET)


async def test_a_given_token_tells_what_is_wrong_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before a server is asked, which would only say no."""
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(serving(auth="jwt", secret=SECRET))
        at = ("--url", worker.url, "--token")
        stale = failed(await doctor(capsys, *at, token(exp=int(time.time()) - 90)), "token")
        assert "expired 9" in stale["detail"]
        other = failed(await doctor(capsys, *at, token(allowed_apps=["fal-ai/other"])), "token")
        assert "not for krea-wan-14b" in other["detail"]
        for wrong in ("abc.def.ghi", "nonsense", token() + "x"):
            assert "UNAUTHORIZED" not in failed(await doctor(capsys, *at, wrong), "connect")["hint"]
        assert (await doctor(capsys, *at, token()))["ok"]
        assert (await doctor(capsys, "--url", worker.url, "--secret", SECRET))["ok"]
        failed(await doctor(capsys, "--url", worker.url, "--secret", SECRET + "x"), "connect")


async def test_people_read_one_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    async with stand_in(streams, refuse=404) as server:
        code = await asyncio.to_thread(main, ("doctor", "--url", server.url))
    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "ok", "ok", "ok", "FAIL", "-",
    ]  # fmt: skip
    assert lines[4].strip() == "check the app id and the path"


def test_a_timeout_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("0", "-1", "soon", "nan", "1e9"):
        with pytest.raises(SystemExit) as caught:
            main(["doctor", f"--timeout={text}"])
        assert caught.value.code == 2
    assert "at most 3600" in capsys.readouterr().err
