"""The streams that rules look at, each made once a run (`Probe.once`) and as short as will do.

Each function is one exchange with the endpoint; what it proves is the rules' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from framewire.protocol import pack_map

from .probe import Probe
from .raw_socket import RawSocket, Seen, is_answer, is_end
from .verdict import needs

PROMPT, OTHER_PROMPT = "a lighthouse at dawn", "a storm at night"
REQUEST_ID = "picture-1"
HELD_UNTIL = 3
"""A block that no endpoint makes before the map that is held for it has come: two may wait to be
sent and one be in the making."""
BAD_MAPS: tuple[bytes | str, ...] = (
    "text",
    b"\xc1",
    pack_map({"strength": 7}),
    pack_map({"image": b"no picture"}),
)


def long_blocks(probe: Probe) -> int:
    """Blocks of a stream that outlasts the way of a change there and back."""
    return 4 if probe.is_fal else 6


def in_the_second_block(probe: Probe) -> int:
    """The frame in the middle of it, as far as it is known how many a block has."""
    return probe.shape.first + probe.shape.later // 2


async def streamed(probe: Probe, socket: RawSocket, values: dict[Any, Any]) -> Seen:
    """Send params and take all that comes of them."""
    await socket.say(values)
    return await socket.stream(probe.timing.first, probe.timing.between)


@dataclass(frozen=True, slots=True)
class Contact:
    """What comes of connecting and saying nothing."""

    first: Seen
    text: str | None
    then: Seen


async def contact(probe: Probe) -> Contact:
    async with probe.socket() as socket:
        first = await socket.until(lambda _: True, probe.timing.first)
        then = await socket.until(lambda _: True, probe.timing.quiet)
        return Contact(first, socket.first_text, then)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A whole stream, what came after it, and the close code that a close was answered with."""

    stream: Seen
    after: Seen
    close_code: int | None


async def baseline(probe: Probe) -> Baseline:
    """The stream that others are compared with."""
    values = probe.params(num_blocks=long_blocks(probe), fps=probe.timing.fps)
    async with probe.ready() as socket:
        stream = await streamed(probe, socket, values)
        after = await socket.until(lambda _: False, probe.timing.quiet)
        await socket.socket.close()
        answered = socket.socket.protocol.close_rcvd
    return Baseline(stream, after, answered.code if answered else None)


async def baseline_frames(probe: Probe) -> list[bytes]:
    """Its frames; a rule about frames has nothing to say where there are none."""
    frames = (await probe.once(baseline)).stream.frames
    needs(frames, "no frames came: see 3.1")
    return frames


async def early(probe: Probe) -> Seen:
    """One block from params that were sent before ready was read."""
    async with probe.socket() as socket:
        return await streamed(probe, socket, probe.params(num_blocks=1))


async def short(probe: Probe, values: dict[Any, Any]) -> Seen:
    """One block from these params, on a socket of its own."""
    async with probe.ready() as socket:
        return await streamed(probe, socket, values)


async def nil_values(probe: Probe) -> Seen:
    """One block from another seed, the map full of nils."""
    nils = {"strength": None, "start_frame": None, "denoising_steps": None, "prompt_2": None}
    return await short(probe, probe.params(num_blocks=1, seed=8) | nils)


def blend(*weights: float) -> list[dict[str, Any]]:
    """The prompt of the baseline and another one, as heavy as that."""
    texts = (PROMPT, OTHER_PROMPT)
    return [{"text": text, "weight": one} for text, one in zip(texts, weights, strict=True)]


async def blended(probe: Probe) -> Seen:
    """Two blocks from two prompts, the second from one of them alone."""
    async with probe.ready() as socket:
        await socket.say(probe.params(num_blocks=2, prompts=blend(1, 1)))
        await socket.say({"prompt": PROMPT, "interp_steps": 1, "at_block": 1})
        return await socket.stream(probe.timing.first, probe.timing.between)


async def blended_again(probe: Probe) -> Seen:
    """Both blocks from the same two prompts, said in other words."""
    return await short(probe, probe.params(num_blocks=2, prompts=blend(2, 2)[::-1]))


async def planned(probe: Probe) -> Seen:
    """Three blocks with a prompt that came with the params, for a frame behind the first of them."""
    await probe.once(by_params)  # which tells how many frames a block has
    frame = in_the_second_block(probe)
    held = {"prompt": OTHER_PROMPT, "interp_steps": 1, "at_frame": frame}
    params = probe.params(num_blocks=3, events=True, fmt="msgpack", steers=[held])
    return await short(probe, params)


async def steered(probe: Probe) -> Seen:
    """An endless stream that gets another prompt and an end after its first frame."""
    blocks = long_blocks(probe)
    async with probe.ready() as socket:
        await socket.say(probe.params(num_blocks=1000, fps=probe.timing.fps))
        first = await socket.until(is_answer, probe.timing.first)
        change = {"prompt": OTHER_PROMPT, "interp_steps": 1, "num_blocks": blocks}
        await socket.say(change)
        return await _up_to(probe, socket, first, probe.shape.frames(blocks + 2))


async def reset_midway(probe: Probe) -> Seen:
    """A stream that is to start over as one block from another seed."""
    async with probe.ready() as socket:
        await socket.say(probe.params(num_blocks=long_blocks(probe), fps=probe.timing.fps))
        first = await socket.until(is_answer, probe.timing.first)
        await socket.say({"action": "reset", "seed": 8, "num_blocks": 1})
        return await _up_to(probe, socket, first, probe.shape.frames(long_blocks(probe) + 2))


async def ended_midway(probe: Probe) -> Seen:
    """A stream that gets maps that are none, and then an end of its input."""
    blocks = long_blocks(probe)
    async with probe.ready() as socket:
        await socket.say(probe.params(num_blocks=1000, fps=probe.timing.fps))
        first = await socket.until(is_answer, probe.timing.first)
        for bad in BAD_MAPS:
            await socket.say_raw(bad)
        await socket.say({"action": "end"})
        return await _up_to(probe, socket, first, probe.shape.frames(blocks + 2))


async def _up_to(probe: Probe, socket: RawSocket, first: Seen, count: int) -> Seen:
    """The rest of a stream, at most `count` frames of it."""
    left = count

    def wanted(message: object) -> bool:
        nonlocal left
        left -= isinstance(message, bytes)
        return left <= 0 or (isinstance(message, dict) and is_end(message))

    more = await socket.until(wanted, probe.timing.between)
    return Seen(first.messages + more.messages, more.ending, more.close)


async def rich(probe: Probe) -> Seen:
    """Four blocks with events and envelopes: the same prompt again, another, and a bad map."""
    async with probe.ready(query={"events": "1", "fmt": "msgpack"}) as socket:
        await socket.say(probe.params(num_blocks=4, fps=probe.timing.fps))
        await socket.say({"prompt": PROMPT, "at_block": 1})
        await socket.say({"prompt": OTHER_PROMPT, "interp_steps": 1, "at_block": HELD_UNTIL})
        await socket.say({"strength": 7})
        return await socket.stream(probe.timing.first, probe.timing.between)


async def by_params(probe: Probe) -> Seen:
    """One block with events and envelopes asked for in the params."""
    return await short(probe, probe.params(num_blocks=1, events=True, fmt="msgpack"))


async def live(probe: Probe) -> Seen:
    """One block from live input: frames of the baseline, sent back."""
    picture = (await baseline_frames(probe))[0]
    async with probe.ready(query={"fmt": "msgpack"}) as socket:
        await socket.say(probe.params(num_blocks=1, webcam_mode=True, strength=0.3))
        for _ in range(12):
            await socket.say({"image": picture, "request_id": REQUEST_ID})
        return await socket.stream(probe.timing.first, probe.timing.between)


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What comes, on one socket, after a stream completed: of a picture, a prompt, a reset."""

    stream: Seen
    of_picture: Seen
    of_prompt: Seen
    of_reset: Seen


async def afterwards(probe: Probe) -> Afterwards:
    picture = (await baseline_frames(probe))[0]
    timing = probe.timing
    async with probe.ready() as socket:
        stream = await streamed(probe, socket, probe.params(num_blocks=1))
        needs(stream.completed, "the stream did not complete: see 7.1")
        await socket.say({"image": picture})
        of_picture = await socket.until(lambda _: True, timing.quiet)
        await socket.say({"prompt": PROMPT})
        of_prompt = await socket.stream(timing.between, timing.between)
        await socket.say({"action": "reset"})
        of_reset = await socket.stream(timing.between, timing.between)
    return Afterwards(stream, of_picture, of_prompt, of_reset)
