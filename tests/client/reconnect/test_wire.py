"""Reconnecting: the caller gets the stream it asked for, whatever became of the connections."""

import asyncio

import pytest
from support.servers.stand_in import Peer, Script, says_nothing, streams
from support.viewers.lost_connections import QUICK, breaks_after, keeps, rest, session_on

from framewire.client import (
    ConnectionLost,
    Event,
    Reconnect,
    Reconnected,
    Reconnecting,
    Started,
)
from framewire.protocol import (
    BlockDone,
    Completed,
    Params,
    Ready,
    Steer,
    Steered,
)
from framewire.protocol import Frame as WireFrame


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


async def drops_what_is_large(peer: Peer) -> None:
    """As a gateway that takes less than 1 MB: gone without a word."""
    await peer.say(Ready())
    await peer.hear()
    peer.socket.transport.abort()


async def test_two_breaks_right_after_a_large_message_are_the_last() -> None:
    """The next connection would carry the same; what is said names the size."""
    told: list[Event] = []
    async with session_on(drops_what_is_large, told=told) as session:
        await session.start("a fox", num_blocks=2, start_frame=bytes(1_020_000))
        said = r"right after a message of 1\.0 MB, 2 times \(not every server takes .* smaller"
        with pytest.raises(ConnectionLost, match=said):
            await rest(session)
    assert sum(isinstance(event, Reconnecting) for event in told) == 1


async def test_one_break_after_a_large_message_is_mended_as_any_other() -> None:
    scripts = (drops_what_is_large, breaks_after(3), drops_what_is_large, streams)
    async with session_on(*scripts) as session:
        await session.start("a fox", num_blocks=2, start_frame=bytes(1_020_000))
        assert len(await rest(session)) == 18


async def test_breaks_after_small_messages_are_not_laid_to_their_size() -> None:
    told: list[Event] = []
    async with session_on(drops_what_is_large, told=told) as session:
        await session.start("a fox", num_blocks=2, start_frame=bytes(900_000))
        with pytest.raises(ConnectionLost) as caught:
            await rest(session)
    assert "MB" not in str(caught.value)
    assert sum(isinstance(event, Reconnecting) for event in told) == QUICK.attempts
