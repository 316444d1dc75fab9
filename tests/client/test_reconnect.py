"""Reconnecting: the caller gets the stream it asked for, whatever became of the connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from stand_in import Peer, Script, after_params, says_nothing, stand_in, streams, token_endpoint

from framewire.client import (
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    Event,
    Frame,
    FramewireError,
    ParamsError,
    Reconnect,
    Reconnected,
    Reconnecting,
    Redirect,
    Session,
    StallError,
    Started,
    connect,
)
from framewire.client.reconnect import heals
from framewire.protocol import (
    BlockDone,
    Completed,
    Error,
    Params,
    Ready,
    Steer,
    Steered,
)
from framewire.protocol import Frame as WireFrame

QUICK = Reconnect(attempts=4, first_delay=0.001, max_delay=0.002, give_up_after=10)


def error_text(code: str) -> str:
    return f'{{"type":"x-fal-error","error":"{code}","reason":"for the test"}}'


def in_turn(*scripts: Script) -> Script:
    """The n-th connection gets the n-th script, and the last one all that come after."""
    waiting = list(scripts)

    async def script(peer: Peer) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(peer)

    return script


def breaks_after(frames: int, heard: list[Params | Steer] | None = None) -> Script:
    """Ready, params, some frames, then gone without a close."""

    async def script(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        if heard is not None:
            heard.append(params)
        await peer.say_frames(frames)
        await peer.until_sent()
        peer.socket.transport.abort()

    return script


def keeps(heard: list[Params | Steer], then: Script = streams) -> Script:
    """As `then`, all that is said to it kept."""

    async def script(peer: Peer) -> None:
        hear = peer.hear

        async def kept() -> Any:
            heard.append(await hear())
            return heard[-1]

        peer.hear = kept  # type: ignore[method-assign]
        await then(peer)

    return script


@contextlib.asynccontextmanager
async def session_on(
    *scripts: Script, told: list[Event] | None = None, **options: Any
) -> AsyncIterator[Session]:
    options = {"reconnect": QUICK} | options
    async with (
        asyncio.timeout(20),
        stand_in(in_turn(*scripts)) as server,
        connect(server.url, on_event=None if told is None else told.append, **options) as session,
    ):
        yield session


async def rest(session: Session) -> list[Frame]:
    return [frame async for frame in session]


@pytest.mark.parametrize("received", [0, 1, 5, 6, 7, 17, 18, 20, 40, 41])
async def test_a_broken_stream_comes_to_the_frames_that_were_asked_for(received: int) -> None:
    """In order and without gaps; the rest is asked for in blocks, and what is too much trimmed."""
    heard: list[Params | Steer] = []
    told: list[Event] = []
    async with session_on(breaks_after(received), keeps(heard), told=told) as session:
        await session.start("a fox", num_blocks=4)
        frames = await rest(session)
        assert await rest(session) == []
    assert [frame.index for frame in frames] == list(range(42))
    left = 42 - received
    asked = heard[0].num_blocks or 0
    assert 12 * asked - 6 >= left > 12 * (asked - 1) - 6 or (asked, received) == (4, 0)
    lost, found = told
    assert isinstance(lost, Reconnecting) and isinstance(found, Reconnected)
    assert (lost.attempt, lost.frames, found.attempts, found.frames) == (1, received, 1, received)
    assert isinstance(lost.cause, ConnectionLost)
    assert 0 < lost.delay <= QUICK.max_delay < found.seconds + 1


async def test_connections_may_break_again_and_again() -> None:
    """Attempts are counted from the last frame: six losses, of which four in a row would do."""
    told: list[Event] = []
    scripts = [breaks_after(frames) for frames in (3, 9, 1, 17, 2, 30)]
    async with session_on(*scripts, streams, told=told) as session:
        await session.start("a fox", num_blocks=10)
        frames = await rest(session)
    assert [frame.index for frame in frames] == list(range(114))
    assert [event.frames for event in told if isinstance(event, Reconnected)] == [
        3, 12, 13, 30, 32, 62,
    ]  # fmt: skip


async def test_nothing_is_opened_when_only_completed_was_lost() -> None:
    """All frames were there; and the next start has a connection again."""
    told: list[Event] = []
    async with session_on(breaks_after(18), streams, told=told) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
        assert told == []
        await session.start("a cat", num_blocks=1)
        assert [frame.index for frame in await rest(session)] == list(range(6))


async def test_the_replay_is_the_stream_as_it_stands() -> None:
    """Params as given, the seed chosen here if none was, and the latest of what was steered."""
    first: list[Params | Steer] = []
    again: list[Params | Steer] = []
    gate = asyncio.Event()

    async def steered(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        await peer.hear()
        await peer.hear()
        gate.set()
        await peer.socket.close(1012)

    async with session_on(keeps(first, steered), keeps(again)) as session:
        await session.start("a fox", num_blocks=3, width=64, start_frame=b"\xff\xd8", strength=0.5)
        await anext(session)
        await session.steer("a cat", interp_steps=1, strength=0.25)
        await session.steer(num_blocks=4)
        await gate.wait()
        assert len(await rest(session)) == 41
    params = first[0]
    assert isinstance(params, Params) and params.seed is not None
    assert again[0].wire() == params.wire() | {
        "prompt": "a cat",
        "strength": 0.25,
        "num_blocks": 4,
    }


async def test_seeds_are_as_without_reconnecting() -> None:
    """The caller's own is used for each start; without one, each start has another."""
    heard: list[Params | Steer] = []
    async with session_on(keeps(heard)) as session:
        for seed in (None, None, 7, None):
            await session.start("a fox", num_blocks=1, seed=seed)
            await rest(session)
    seeds = [one.seed for one in heard]
    assert None not in seeds[:2] and seeds[0] != seeds[1]
    assert seeds[2:] == [7, None]  # None: the worker keeps the last


async def test_a_wrapped_stream_counts_on_in_blocks_prompts_and_events() -> None:
    """With `fmt=msgpack` and events the second connection counts from 0; the caller's do not."""
    told: list[Event] = []

    def says(version: int, blocks: int, frames: int) -> Script:
        async def script(peer: Peer) -> None:
            peer.wire.envelope = True
            await peer.say(Ready())
            await peer.hear()
            said = {"seed": 1, "width": 64, "height": 64, "backend": "b", "num_blocks": blocks}
            await peer.say(Started(session_id="s", **said))
            if version == 1:
                await peer.hear()
                await peer.say(Steered(block=1, prompt_version=2, applied=("prompt",)))
            for index in range(frames):
                block = 0 if index < 3 else 1 + (index - 3) // 4
                seen = 2 if version == 1 and block else 1
                await peer.say(
                    WireFrame(b"\xff\xd8", index=index, block=block, prompt_version=seen)
                )
                if index in (2, 6):
                    done = {"index": 0 if index == 2 else 3, "frames": 3 if index == 2 else 4}
                    await peer.say(BlockDone(block=block, prompt_version=seen, **done))
            if version == 1:
                await peer.socket.close(1011)
            else:
                await peer.say(Completed(session_id="s"))
                await peer.until_closed()

        return script

    async with session_on(says(1, 3, 8), says(2, 2, 7), told=told) as session:
        await session.start("a fox", num_blocks=3, fmt="msgpack", events=True)
        await session.steer("a cat")
        frames = await rest(session)
    assert [frame.index for frame in frames] == list(range(11))
    assert [frame.block for frame in frames] == [0] * 3 + [1] * 4 + [2] + [3] * 3
    assert [frame.prompt_version for frame in frames] == [1] * 3 + [2] * 8
    blocks = [event for event in told if isinstance(event, BlockDone)]
    assert [(one.block, one.index, one.prompt_version) for one in blocks] == [
        (0, 0, 1), (1, 3, 2), (3, 8, 2),
    ]  # fmt: skip
    assert [event.num_blocks for event in told if isinstance(event, Started)] == [3, 3]


async def test_steers_held_for_later_blocks_are_held_again() -> None:
    """Counted in the blocks of the new connection; those whose block has come are in the params."""
    heard: list[Params | Steer] = []

    async def holds(peer: Peer) -> None:
        await peer.say(Ready())
        for _ in range(4):
            await peer.hear()
        await peer.say_frames(30)
        await peer.until_sent()
        peer.socket.transport.abort()

    async def streams_on(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        await peer.hear()
        await peer.say_frames(12 * params.num_blocks - 6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with session_on(holds, keeps(heard, streams_on)) as session:
        await session.start("a fox", num_blocks=9)
        for block in (1, 2, 7):
            await session.steer(f"a cat, {block}", at_block=block)
        assert len(await rest(session)) == 102
    params, held = heard
    assert (params.prompt, params.num_blocks) == ("a cat, 2", 7)
    assert isinstance(held, Steer) and (held.prompt, held.at_block) == ("a cat, 7", 4)


async def test_what_is_said_in_the_gap_is_said_to_the_next_worker() -> None:
    """Nothing fails and nothing is lost: prompts and totals in the params, the newest picture."""
    heard: list[Params | Steer] = []
    in_the_gap = asyncio.Event()
    go_on = asyncio.Event()

    async def hook(event: Reconnecting) -> None:
        in_the_gap.set()
        await go_on.wait()

    async def streams_live(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        await peer.hear()
        await peer.say_frames(12 * params.num_blocks - 6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    policy = Reconnect(first_delay=0.001, max_delay=0.001, on_reconnecting=hook)
    async with session_on(breaks_after(6), keeps(heard, streams_live), reconnect=policy) as session:
        await session.start("a fox", num_blocks=2)
        reading = asyncio.create_task(rest(session))
        await in_the_gap.wait()
        assert await session.steer("a cat", num_blocks=3)
        assert await session.send_image(b"\xff\xd8 old", request_id="1", prompt="a fox")
        assert await session.send_image(b"\xff\xd8 new", request_id="2", prompt="a fox")
        go_on.set()
        assert len(await reading) == 30
    params, picture = heard
    assert isinstance(params, Params) and params.webcam_mode
    assert (params.prompt, params.num_blocks) == ("a cat", 3)
    assert picture.wire() == {"image": b"\xff\xd8 new", "request_id": "2"}


async def test_a_reset_starts_the_whole_stream_over_on_any_connection() -> None:
    """Also on a later one, whose worker was asked for the rest only."""
    heard: list[Params | Steer] = []

    async def resettable(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(1)
        reset = await peer.hear()
        await peer.say_frames(12 * reset.num_blocks - 6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with session_on(breaks_after(20), keeps(heard, resettable)) as session:
        await session.start("a fox", num_blocks=4)
        for _ in range(21):
            await anext(session)
        await session.reset("a cat")
        assert len(await rest(session)) == 42
    assert heard[1].wire() == {"action": "reset", "prompt": "a cat", "num_blocks": 4}


@pytest.mark.parametrize("ended", [False, True])
async def test_a_clip_is_not_resumed(ended: bool) -> None:
    """The pictures that the worker held are gone: a stream without them would look complete."""

    async def drops(peer: Peer) -> None:
        await peer.say(Ready())
        for _ in range(2 + ended):
            await peer.hear()
        await peer.socket.close(1011)

    async with session_on(drops, streams) as session:
        await session.start("a fox", num_blocks=2, input="all")
        await session.send_image(b"\xff\xd8")
        if ended:
            await session.end()
        with pytest.raises(ConnectionLost):
            await rest(session)


async def test_a_live_stream_that_was_ended_ends() -> None:
    """There is nothing left to ask for."""
    heard_end = asyncio.Event()

    async def drops(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(3)
        await peer.hear()
        heard_end.set()
        await peer.socket.close(1012)

    async with session_on(drops, says_nothing) as session:
        await session.start("a fox", webcam_mode=True, num_blocks=1000)
        await session.end()
        assert len(await rest(session)) == 3


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
async def test_what_passes_is_healed(say: str | None, code: int) -> None:
    """Drains, full workers, the session limit, crashes, and closes without a word."""
    async with session_on(after_params(frames=8, say=say, code=code), streams) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18


async def test_silence_is_healed() -> None:
    """A stall is a lost connection: the watchdog's error is the event's cause."""

    async def stalls(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(8)
        await peer.until_closed()

    told: list[Event] = []
    async with session_on(stalls, streams, told=told, frame_timeout=0.2) as session:
        await session.start("a fox", num_blocks=2)
        assert len(await rest(session)) == 18
    assert isinstance(told[0], Reconnecting) and isinstance(told[0].cause, StallError)


async def test_a_slow_reader_is_no_stall() -> None:
    """Silence counts only while the caller waits for frames."""
    told: list[Event] = []
    options = {"told": told, "frame_timeout": 0.1, "buffer_frames": 1}
    async with session_on(streams, **options) as session:  # type: ignore[arg-type]
        await session.start("a fox", num_blocks=2)
        await anext(session)
        await asyncio.sleep(0.3)
        assert len(await rest(session)) == 17
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
        asyncio.timeout(20),
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
        asyncio.timeout(20),
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
        async with asyncio.timeout(2):
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
    """A new kind of error is not retried until somebody says that it heals."""
    healing = {
        error.__name__
        for error in _all_errors(FramewireError)
        if heals(error("x"), had_frames=True)
    }
    assert healing == {
        "CapacityError", "ConnectError", "ConnectionLost", "SessionTimeoutError", "StallError",
        "WorkerFailedError",
    }  # fmt: skip


def _all_errors(root: type[FramewireError]) -> list[type[FramewireError]]:
    return [root, *(found for child in root.__subclasses__() for found in _all_errors(child))]
