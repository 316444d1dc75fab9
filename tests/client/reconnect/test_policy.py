"""Reconnecting: what is tried again, how often, how fast, where; and what is told at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.clock import at_rest, time_passes
from support.servers.stand_in import (
    Peer,
    Script,
    after_params,
    says_nothing,
    stand_in,
    streams,
    token_endpoint,
)
from support.viewers.lost_connections import (
    QUICK,
    breaks_after,
    error_text,
    in_turn,
    keeps,
    rest,
    session_on,
)

from framewire.client import (
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    Event,
    FramewireError,
    ParamsError,
    Reconnect,
    Reconnecting,
    Redirect,
    StallError,
    connect,
)
from framewire.client.reconnect.policy import is_worth_retrying
from framewire.protocol import (
    Completed,
    Error,
    Params,
    Ready,
    Steer,
)


@pytest.mark.parametrize(
    ("say", "code"),
    [
        (None, 1000),
        (None, 1001),
        (None, 1008),
        (None, 1011),
        (None, 1012),
        (None, 1013),
        (error_text("AT_CAPACITY"), 1012),
        (error_text("AT_CAPACITY"), 1013),
        (error_text("TIMEOUT"), 1008),
        (error_text("INTERNAL_ERROR"), 1011),
        ('{"type":"x-fal-error","error":"TIMEOUT","reason":"no inputs"}', 1000),
    ],
)
async def test_what_passes_is_worth_another_connection(say: str | None, code: int) -> None:
    """Drains, full workers, the session limit, crashes, and closes without a word."""
    async with session_on(after_params(frames=8, say=say, code=code), streams) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18


@pytest.mark.parametrize("seconds", [0.2, 1e9, -1, "soon"])
async def test_it_comes_back_when_the_server_says(seconds: object) -> None:
    """No sooner than that, and spread out; what is no such number is not heeded."""
    said = json.loads(error_text("AT_CAPACITY")) | {"retry_after": seconds}
    told: list[Event] = []
    full = after_params(frames=8, say=json.dumps(said), code=1012)
    async with session_on(full, streams, told=told) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
    (first,) = (event for event in told if isinstance(event, Reconnecting))
    assert (first.delay >= 0.2) == (seconds == 0.2)
    assert first.cause.retry_after == (0.2 if seconds == 0.2 else None)


async def test_it_does_not_wait_longer_than_it_would_try() -> None:
    """A server that wants nobody back for an hour ends it now, with its own words."""
    said = json.loads(error_text("AT_CAPACITY")) | {"retry_after": 3600}
    told: list[Event] = []
    full = after_params(frames=8, say=json.dumps(said), code=1013)
    async with session_on(full, streams, told=told) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(CapacityError):
            await rest(session)
    assert not [event for event in told if isinstance(event, Reconnecting)]


async def test_silence_is_worth_another_connection() -> None:
    """A stall is a lost connection: the watchdog's error is the event's cause."""

    async def stalls(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(8)
        await peer.until_closed()

    told: list[Event] = []
    async with session_on(stalls, streams, told=told, frame_timeout=0.5) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
    assert isinstance(told[0], Reconnecting) and isinstance(told[0].cause, StallError)


async def test_a_slow_reader_is_no_stall() -> None:
    """Silence counts only while the caller waits for frames."""
    told: list[Event] = []
    go_on = asyncio.Event()

    async def in_two_parts(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        await go_on.wait()
        await peer.say_frames(12, start=6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    limits = {"frame_timeout": 600.0, "buffer_frames": 1}
    async with (
        stand_in(in_two_parts) as server,
        connect(server.url, reconnect=QUICK, on_event=told.append, **limits) as session,  # type: ignore[arg-type]
    ):
        await session.start("a fox", num_blocks=2)
        await anext(session)
        while not session._wire._watchdog._held:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0)
        time_passes(700)
        await at_rest()
        for _ in range(5):
            await anext(session)
        await at_rest()
        go_on.set()
        assert len(await rest(session)) == 12
    assert told == []


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (after_params(say=error_text("UNAUTHORIZED"), code=1008), AuthError),
        (after_params(say='{"error":"quota","reason":"spent"}', code=1000), FramewireError),
        (after_params(code=1008), ConnectionLost),
        (after_params(frames=3, code=1009), ConnectionLost),
    ],
)
async def test_what_does_not_pass_is_told_at_once(
    script: Script, error: type[FramewireError]
) -> None:
    """No attempt is made."""
    told: list[Event] = []
    async with session_on(script, streams, told=told) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(error):
            await rest(session)
    assert told == []


async def test_params_that_are_refused_stay_the_callers_to_mend() -> None:
    """No reconnect, and what was refused is not replayed later."""

    async def picky(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say(Error(code="BAD_PARAMS", errors=({"loc": ["width"], "msg": "odd"},)))
        await peer.hear()
        await peer.say_frames(3)
        await peer.socket.close(1011)

    heard: list[Params | Steer] = []
    async with session_on(picky, keeps(heard)) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(ParamsError):
            await rest(session)
        await session.start("a cat", num_blocks=1)
        assert len(await rest(session)) == 6
    assert heard[0].wire()["prompt"] == "a cat"


async def test_it_gives_up_after_so_many_attempts_with_the_last_cause() -> None:
    """In a row: each is told, and the delays grow up to the limit."""
    told: list[Event] = []
    full = after_params(say=error_text("AT_CAPACITY"), code=1013)
    async with session_on(breaks_after(3), full, told=told) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(CapacityError):
            await rest(session)
        with pytest.raises(CapacityError):
            await session.steer("a cat")
    attempts = [event.attempt for event in told if isinstance(event, Reconnecting)]
    assert attempts == [1, 2, 3, 4]


async def test_it_gives_up_when_the_time_is_up() -> None:
    """One limit over all attempts and openings."""
    policy = Reconnect(first_delay=0.001, max_delay=0.001, give_up_after=0.2)
    scripts = breaks_after(3), says_nothing
    async with session_on(*scripts, reconnect=policy, ready_timeout=30) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(ConnectionLost):
            await rest(session)


async def test_a_refused_token_ends_it_at_once() -> None:
    """What the mint or the door refuses now, it refuses in a second as well."""
    told: list[Event] = []

    async def refuses(peer: Peer) -> None:
        await peer.socket.send(error_text("UNAUTHORIZED"))
        await peer.socket.close(1008)

    async with session_on(breaks_after(3), refuses, told=told) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(AuthError):
            await rest(session)
    assert len(told) == 1


async def test_each_connection_has_a_fresh_token() -> None:
    """Minted anew, though the old one has not expired."""
    async with (
        asyncio.timeout(60),
        token_endpoint(lambda number: f"a.b.{number}") as mint,
        stand_in(in_turn(breaks_after(3), breaks_after(3), streams)) as server,
        connect(server.url, key="k", token_url=mint.url, reconnect=QUICK) as session,
    ):
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
        sent = [peer.request.headers["Authorization"] for peer in server.peers]
    assert sent == ["Bearer a.b.1", "Bearer a.b.2", "Bearer a.b.3"]


async def test_the_first_connection_is_not_retried() -> None:
    """A wrong address is told at once."""
    with pytest.raises(ConnectError, match="is the worker running there"):
        await connect("ws://127.0.0.1:9/ws", reconnect=True)


async def _redirected(hook: Callable[[str], Any], headers: dict[str, str]) -> list[str | None]:
    """What the second server was sent as `X-Name`, connection by connection."""
    async with (
        asyncio.timeout(60),
        stand_in(breaks_after(3)) as first,
        stand_in(in_turn(breaks_after(2), streams)) as second,
    ):
        policy = Reconnect(
            first_delay=0.001,
            max_delay=0.001,
            on_reconnecting=lambda event: hook(second.url) if event.frames == 3 else None,
        )
        async with connect(first.url, reconnect=policy, headers=headers) as session:
            await session.start("a fox", num_blocks=2)
            assert [frame.index for frame in await rest(session)] == list(range(18))
        return [peer.request.headers.get("X-Name") for peer in second.peers]


async def test_the_hook_sends_it_elsewhere_and_there_it_stays() -> None:
    """Another URL, other headers; or only the one of them."""
    moved = await _redirected(lambda url: Redirect(url, {"X-Name": "new"}), {"X-Name": "old"})
    assert moved == ["new", "new"]
    kept = await _redirected(lambda url: Redirect(url), {"X-Name": "old"})
    assert kept == ["old", "old"]


async def _sync_no(event: Reconnecting) -> bool:
    return False


@pytest.mark.parametrize("hook", [lambda event: False, _sync_no])
async def test_the_hook_gives_up(hook: Callable[[Reconnecting], bool | Awaitable[bool]]) -> None:
    """Sync or async; the caller gets what ended the connection."""
    told: list[Event] = []
    policy = Reconnect(on_reconnecting=hook)  # type: ignore[arg-type]
    async with session_on(breaks_after(3), streams, told=told, reconnect=policy) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(ConnectionLost):
            await rest(session)
    assert len(told) == 1


async def test_a_hook_that_raises_gives_up() -> None:
    """Its error is logged and named."""

    def hook(event: Reconnecting) -> None:
        raise KeyError("a mistake of the caller's")

    async with session_on(
        breaks_after(3), streams, reconnect=Reconnect(on_reconnecting=hook)
    ) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(ConnectionLost, match="KeyError"):
            await rest(session)


async def test_a_connection_that_breaks_between_streams_is_missed_by_nobody() -> None:
    """Neither told nor mended until the next start, which then streams."""
    told: list[Event] = []
    gone = asyncio.Event()

    async def leaves(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.socket.close(1001)
        gone.set()

    async with session_on(leaves, streams, told=told) as session:
        await gone.wait()
        await asyncio.sleep(0)
        assert told == []
        await session.start("a fox", num_blocks=1)
        assert len(await rest(session)) == 6


async def test_closing_in_the_gap_ends_at_once() -> None:
    """Nobody waits for a worker that is not needed any more."""
    in_the_gap = asyncio.Event()

    def hook(event: Reconnecting) -> None:
        in_the_gap.set()

    policy = Reconnect(first_delay=60, max_delay=60, on_reconnecting=hook)
    async with session_on(breaks_after(3), reconnect=policy) as session:
        await session.start("a fox", num_blocks=2)
        reading = asyncio.create_task(rest(session))
        await in_the_gap.wait()
        async with asyncio.timeout(30):
            await session.close()
            assert len(await reading) <= 3


async def test_a_callback_that_raises_does_not_stop_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged."""

    def fails(event: Event) -> None:
        raise RuntimeError("in the callback")

    async with (
        stand_in(in_turn(breaks_after(3), streams)) as server,
        connect(server.url, reconnect=QUICK, on_event=fails) as session,
    ):
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
    assert "in the callback" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"first_delay": 0},
        {"first_delay": 2, "max_delay": 1},
        {"give_up_after": 0},
    ],
)
def test_a_policy_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ValueError):
        Reconnect(**options)


def test_delays_double_with_jitter_up_to_the_limit() -> None:
    """Between half and all of each."""
    policy = Reconnect(first_delay=1, max_delay=5)
    for attempt, full in enumerate((1, 2, 4, 5, 5), start=1):
        delays = [policy.delay(attempt) for _ in range(50)]
        assert full / 2 <= min(delays) < max(delays) <= full
    assert policy.delay(10_000) <= 5


def test_every_error_is_judged() -> None:
    """A new kind of error is not retried until somebody says that it is worth it."""
    retried = {
        error.__name__
        for error in _all_errors(FramewireError)
        if is_worth_retrying(error("x"), had_frames=True)
    }
    assert retried == {
        "CapacityError", "ConnectError", "ConnectionLost", "SessionTimeoutError", "StallError",
        "WorkerFailedError",
    }  # fmt: skip


def _all_errors(root: type[FramewireError]) -> list[type[FramewireError]]:
    return [root, *(found for child in root.__subclasses__() for found in _all_errors(child))]
