"""Sessions: frames in order to the end of each stream, changes on their way, failures typed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from support.clock import at_rest, time_passes
from support.servers.stand_in import Peer, Script, after_params, picture, stand_in, streams

from framewire.client import (
    BlockDone,
    ConnectionLost,
    Event,
    Frame,
    ParamsError,
    ServerError,
    Session,
    StallError,
    StateError,
    Warned,
    WorkerFailedError,
    connect,
    wire,
)
from framewire.client.options import ImageOptions, StartOptions, SteerOptions
from framewire.protocol import Completed, Error, Params, Ready, Steer
from framewire.protocol import Frame as WireFrame


async def collected(session: Session) -> list[Frame]:
    async with asyncio.timeout(60):
        return [frame async for frame in session]


@contextlib.asynccontextmanager
async def started(script: Script, **options: object) -> AsyncIterator[Session]:
    """A session on a stand-in, its stream started."""
    async with stand_in(script) as server, connect(server.url, **options) as session:  # type: ignore[arg-type]
        await session.start("a fox", num_blocks=2)
        yield session


async def test_frames_come_in_order_and_end_with_the_stream() -> None:
    """Counted from 0, whole JPEGs, stamped on the monotonic clock; block unknown on this wire."""
    before = time.monotonic()
    async with started(streams) as session:
        frames = await collected(session)
    assert [frame.index for frame in frames] == list(range(18))
    assert [frame.jpeg for frame in frames] == [picture(index) for index in range(18)]
    assert {frame.block for frame in frames} == {None}
    assert before <= frames[0].received_at <= frames[-1].received_at <= time.monotonic()


async def test_a_second_start_streams_again_from_zero() -> None:
    """Same socket, new stream; reading between the two ends at once instead of hanging."""
    async with started(streams) as session:
        first = await collected(session)
        assert await collected(session) == []
        await session.start("a fox at night", num_blocks=1)
        second = await collected(session)
    assert (len(first), len(second), second[0].index) == (18, 6, 0)


async def test_what_is_sent_is_what_was_asked_for() -> None:
    """Start, steer, picture, reset and end arrive as the protocol's messages, nothing added."""
    heard: list[Params | Steer] = []
    all_heard = asyncio.Event()

    async def listens(peer: Peer) -> None:
        await peer.say(Ready())
        while len(heard) < 5:
            heard.append(await peer.hear())
        all_heard.set()
        await peer.until_closed()

    async with stand_in(listens) as server, connect(server.url) as session:
        await session.start("a fox", seed=7, denoising_steps=[1000, 500], strength=None)
        await session.steer("a cat", interp_steps=1, at_block=3)
        await session.send_image(b"\xff\xd8jpeg", request_id="r", timestamp=1.5)
        await session.reset(seed=8)
        await session.end()
        async with asyncio.timeout(30):
            await all_heard.wait()
    assert [message.wire() for message in heard] == [
        {"prompt": "a fox", "seed": 7, "denoising_steps": (1000, 500)},
        {"prompt": "a cat", "interp_steps": 1, "at_block": 3},
        {"image": b"\xff\xd8jpeg", "request_id": "r", "timestamp": 1.5},
        {"action": "reset", "seed": 8},
        {"action": "end"},
    ]


def test_every_key_of_the_wire_can_be_asked_for() -> None:
    """A param added to the protocol must not be forgotten here."""
    assert set(StartOptions.__annotations__) == set(Params.model_fields) - {"prompt"}
    steers = set(SteerOptions.__annotations__) | set(ImageOptions.__annotations__)
    assert steers == set(Steer.model_fields) - {"action", "image"}


@pytest.mark.parametrize(
    "options",
    [
        {"num_blocks": 0},
        {"strength": 1.5},
        {"seed": -1},
        {"width": 63},
        {"start_frame": "x.png"},
        {"start_frame": bytes(2**24)},
    ],
)
async def test_params_out_of_range_are_refused_before_they_are_sent(
    options: StartOptions,
) -> None:
    """The error names the param, and the session goes on."""
    async with stand_in(streams) as server, connect(server.url) as session:
        with pytest.raises(ParamsError, match=next(iter(options))):
            await session.start("a fox", **options)
        await session.start("a fox", num_blocks=1)
        assert len(await collected(session)) == 6


async def test_a_misspelt_param_is_an_error_not_a_default() -> None:
    """The wire ignores unknown keys; a caller's typo must not vanish there."""
    async with stand_in(streams) as server, connect(server.url) as session:
        with pytest.raises(TypeError, match="num_block; there are"):
            await session.start("a fox", num_block=2)  # type: ignore[call-arg]


async def test_params_that_the_server_refuses_can_be_tried_again() -> None:
    """Krea's shape of a refusal; the socket stays open and other params stream."""

    async def picky(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        refusal = Error(code="BAD_PARAMS", errors=({"loc": ["width"], "msg": "too odd"},))
        await peer.say(refusal)
        await peer.hear()
        await peer.say_frames(6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(picky) as session:
        with pytest.raises(ParamsError, match="width: too odd") as caught:
            await collected(session)
        assert caught.value.errors[0]["loc"] == ["width"]
        await session.start("a fox", num_blocks=1)
        assert len(await collected(session)) == 6


@pytest.mark.parametrize(
    "said",
    [
        '{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":"out of memory"}',
        '{"error":"INTERNAL_ERROR","reason":"out of memory"}',
    ],
)
async def test_a_failure_in_mid_stream_comes_after_the_frames_before_it(said: str) -> None:
    """Nothing that arrived is lost, the server's words beat the close after them, and every
    later call says the same."""
    async with started(after_params(frames=5, say=said, code=1011)) as session:
        frames = []
        with pytest.raises(WorkerFailedError, match="out of memory"):
            async for frame in session:
                frames.append(frame)
        assert len(frames) == 5
        with pytest.raises(WorkerFailedError):
            await session.steer("a cat")
        with pytest.raises(WorkerFailedError):
            await collected(session)


async def test_an_unknown_error_code_is_a_server_error() -> None:
    """Other servers have other words; none is swallowed."""
    async with started(
        after_params(say='{"error":"quota","reason":"spent"}', code=1000)
    ) as session:
        with pytest.raises(ServerError, match="spent") as caught:
            await collected(session)
    assert caught.value.code == "quota"


@pytest.mark.parametrize("code", [1000, 1008, 1011, 1012])
async def test_closed_in_mid_stream_without_a_word(code: int) -> None:
    """No `completed`, no end: even a clean close is a lost connection, and says its code."""
    async with started(after_params(frames=3, code=code)) as session:
        with pytest.raises(ConnectionLost) as caught:
            await collected(session)
    assert caught.value.close_code == code


async def test_dropped_without_a_close() -> None:
    """A crashed worker or a pulled cable."""

    async def drops(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        peer.socket.transport.abort()

    async with started(drops) as session:
        with pytest.raises(ConnectionLost) as caught:
            await collected(session)
    assert caught.value.close_code is None


async def test_closed_after_completed_is_a_clean_end() -> None:
    """The hosted endpoint may hang up after the last frame; only another start would fail."""

    async def hangs_up(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(18)
        await peer.say(Completed(session_id="s"))

    async with started(hangs_up) as session:
        assert len(await collected(session)) == 18
        await asyncio.wait([session._reading], timeout=60)
        with pytest.raises(ConnectionLost):
            await session.start("again")


async def test_silence_in_mid_stream_is_a_stall() -> None:
    """The connection stands, nothing comes: the watchdog says so instead of waiting for ever."""

    async def freezes(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(3)
        await peer.until_closed()

    async with started(freezes, frame_timeout=600.0) as session:
        for _ in range(3):
            await anext(session)
        time_passes(700)
        with pytest.raises(StallError, match=r"no frame for [67]\d\d\.\d s"):
            await anext(session)


async def test_a_slow_reader_is_no_stall() -> None:
    """The reader's own pauses are not held against the worker."""
    async with started(streams, frame_timeout=600.0, buffer_frames=1) as session:
        for _ in range(4):
            await anext(session)
        async with asyncio.timeout(60):
            while not session._watchdog._held:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
        time_passes(700)
        await at_rest()
        assert len(await collected(session)) == 14


async def test_waiting_holds_the_worker_back_and_loses_nothing() -> None:
    """buffer="wait": frames that are not read stay on the other side."""
    sent = 0
    big = picture(0, 640, 640) + bytes(200_000)

    async def pours(peer: Peer) -> None:
        nonlocal sent
        await peer.say(Ready())
        await peer.hear()
        for _ in range(400):
            await peer.say(WireFrame(jpeg=big))
            sent += 1
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(pours, buffer_frames=4) as session:
        await anext(session)
        await _until_steady(lambda: sent)
        assert sent < 200
        assert 1 + len(await collected(session)) == 400
        assert session.dropped == 0


async def test_newest_drops_the_oldest_and_counts_them() -> None:
    """For live viewing: the worker is never held back; indices tell what is missing."""
    all_taken = asyncio.Event()

    async def pours(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(18)
        await peer.say(Warned(reason="that was all"))
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    options = {"buffer": "newest", "buffer_frames": 4, "on_event": lambda _: all_taken.set()}
    async with started(pours, **options) as session:
        await all_taken.wait()
        frames = await collected(session)
    assert [frame.index for frame in frames] == [14, 15, 16, 17]
    assert session.dropped == 14


async def test_frames_that_completed_has_overtaken_are_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Krea's server sends `completed` before the last block, and once more after it."""
    monkeypatch.setattr(wire, "STRAGGLERS", 60.0)

    async def overtaken(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        for message in (*[picture(i) for i in range(6)], '{"session_id":"s","status":"completed"}'):
            await peer.socket.send(message)
        for index in range(6, 18):
            await peer.socket.send(picture(index))
        await peer.socket.send('{"session_id":"s","status":"completed"}')
        await peer.until_closed()

    async with started(overtaken) as session:
        assert [frame.index for frame in await collected(session)] == list(range(18))


async def test_early_completed_with_nothing_behind_it_still_ends() -> None:
    """Fewer frames than were asked for: the wait for stragglers is short."""

    async def stops_short(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(stops_short) as session:
        assert len(await collected(session)) == 6


async def test_nonsense_from_the_server_does_not_end_a_stream() -> None:
    """Unknown messages of other servers, broken JSON, unexpected bytes."""

    async def babbles(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        for nonsense in ('{"status":"generating"}', "no json", b"\xc1", b"\x81\xa1a\x01", "[]"):
            await peer.socket.send(nonsense)
        await peer.say_frames(18)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(babbles) as session:
        assert len(await collected(session)) == 18


async def test_frames_that_carry_their_numbers_keep_them() -> None:
    """fmt=msgpack: index, block, prompt version and request id come from the worker."""

    async def tells(peer: Peer) -> None:
        peer.wire.envelope = True
        await peer.say(Ready())
        await peer.hear()
        await peer.say(WireFrame(picture(0), 42, 4, "r", 2))
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(tells) as session:
        (frame,) = await collected(session)
    assert (frame.index, frame.block, frame.request_id, frame.prompt_version) == (42, 4, "r", 2)


async def test_events_are_told_and_a_failing_callback_harms_nothing() -> None:
    """Typed, in order, while frames flow."""
    told: list[Event] = []
    block = BlockDone(block=0, index=0, frames=6, prompt_version=1)

    def on_event(event: Event) -> None:
        told.append(event)
        raise RuntimeError("the caller's bug")

    async def speaks(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say(block)
        await peer.say(Warned(reason="no picture"))
        await peer.say_frames(18)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(speaks, on_event=on_event) as session:
        assert len(await collected(session)) == 18
    assert told == [block, Warned(reason="no picture")]


async def test_a_steer_after_the_end_is_not_sent() -> None:
    """On the wire it would start another stream, which nobody asked for."""
    async with started(streams) as session:
        await collected(session)
        assert await session.steer("too late") is False
        assert await session.send_image(picture(1)) is False
        assert await session.end() is False


@pytest.mark.parametrize("call", ["steer", "reset", "end", "send_image", "read"])
async def test_calls_before_start_say_so(call: str) -> None:
    """Wrong order is the caller's mistake and named as such, not a hang."""
    async with stand_in(streams) as server, connect(server.url) as session:
        with pytest.raises(StateError, match="start"):
            match call:
                case "steer":
                    await session.steer("x")
                case "reset":
                    await session.reset()
                case "end":
                    await session.end()
                case "send_image":
                    await session.send_image(picture(0))
                case "read":
                    await anext(session)


async def test_a_second_start_while_streaming_is_refused() -> None:
    """On the wire it would be taken for a steer."""

    async def streams_for_ever(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.until_closed()

    async with started(streams_for_ever) as session:
        with pytest.raises(StateError, match="a stream is running"):
            await session.start("another")


async def test_reset_drops_what_was_not_read() -> None:
    """Frames of before are not shown after."""
    all_taken = asyncio.Event()

    async def restarts(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        await peer.say(Warned(reason="that was all"))
        await peer.hear()
        await peer.say_frames(2, start=100)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with started(restarts, on_event=lambda _: all_taken.set()) as session:
        await all_taken.wait()
        await session.reset("a cat")
        frames = await collected(session)
    assert [frame.jpeg for frame in frames] == [picture(100), picture(101)]


async def test_closing_ends_a_reader_and_is_quick_with_unread_frames() -> None:
    """The worker's close is not waited for behind frames that nobody wants."""

    async def pours(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        while True:
            await peer.socket.send(picture(0, 640, 640) + bytes(200_000))

    async with started(pours, buffer_frames=2, close_timeout=600) as session:
        await _until_steady(lambda: session._next_index)
        async with asyncio.timeout(30):
            await session.close()
            await session.close()
        assert [frame async for frame in session] == []
        with pytest.raises(StateError, match="closed"):
            await session.start("again")


async def _until_steady(value: object) -> None:
    """Until `value()` has not changed for a tenth of a second: all that can arrive has."""
    assert callable(value)
    async with asyncio.timeout(60):
        before = None
        while (now := value()) != before:
            before = now
            await asyncio.sleep(0.1)
