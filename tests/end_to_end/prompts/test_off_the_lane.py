"""Prompts are encoded beside the lane: no session waits for another's, and no stream is lost by one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from support.servers.worker_server import Running, lane_held, serving
from support.viewers.plain_stream import QUICK, plain_stream, tiny_backend
from support.viewers.raw_viewer import connected
from torch import Tensor

PATIENCE = 60.0


@dataclass
class SlowEncoder:
    """Encodes as the given one does, but a text with `slow` in it only once `go` is set."""

    encode_now: Callable[[str], Tensor]
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    def encode(self, text: str) -> Tensor:
        self.asked.append((text, threading.current_thread().name))
        if "slow" in text:
            self.begun.set()
            assert self.go.wait(PATIENCE)
        if "broken" in text:
            raise RuntimeError("this text cannot be encoded")
        return self.encode_now(text)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Running, SlowEncoder]]:
    torch.set_num_threads(1)
    async with serving(backend := tiny_backend(), codec_threads=2) as worker:
        encoder: Any = backend.engine.shared.text_encoder
        replacement = SlowEncoder(encoder.encode)
        encoder.encode = replacement.encode
        yield worker, replacement
        replacement.go.set()


async def encoding(encoder: SlowEncoder) -> None:
    assert await asyncio.to_thread(encoder.begun.wait, PATIENCE)


async def test_nothing_is_encoded_on_the_lane(slow: tuple[Running, SlowEncoder]) -> None:
    worker, encoder = slow
    async with connected(worker.url) as viewer:
        both = [{"text": "a dog", "weight": 1}, {"text": "an owl", "weight": 1}]
        steers = [
            {"prompt": "a cat", "at_block": 1},
            {"prompt": "a dog", "prompts": both, "at_block": 2},
        ]
        await viewer.say(prompt="a fox", num_blocks=4, steers=steers, **QUICK)
        await viewer.stream()
    assert {text for text, _ in encoder.asked} == {"a fox", "a cat", "a dog", "an owl"}
    assert all(thread.startswith("framewire-decode") for _, thread in encoder.asked)


async def test_others_blocks_go_on_while_a_prompt_is_encoded(
    slow: tuple[Running, SlowEncoder],
) -> None:
    """Of a stream that begins, and of one that is steered."""
    worker, encoder = slow
    async with connected(worker.url) as one, connected(worker.url) as other:
        await one.say(prompt="a slow fox", num_blocks=2, **QUICK)
        await encoding(encoder)
        await other.say(prompt="a cat", num_blocks=5, **QUICK)
        assert (await other.stream()).frames == plain_stream("a cat", 5)
        encoder.go.set()
        assert (await one.stream()).frames == plain_stream("a slow fox", 2)


async def test_a_held_map_is_encoded_when_it_comes_and_its_block_waits_for_all_of_it(
    slow: tuple[Running, SlowEncoder],
) -> None:
    """However slow: the frames are those of the script, and the report says the block."""
    worker, encoder = slow
    async with connected(worker.url + "?events=1") as viewer:
        async with lane_held(worker.inside):
            await viewer.say(prompt="a fox", num_blocks=5, **QUICK)
            await viewer.say(prompt="a slow cat", at_block=3, interp_steps=1, strength=0.4)
            await encoding(encoder)
        before = await viewer.frame(6 + 12 * 2)
        encoder.go.set()
        after = await viewer.stream()
    said = list(before.of("steered") + after.of("steered"))
    assert [event["block"] for event in said] == [3]
    assert set(said[0]["applied"]) == {"prompt", "strength"}
    wanted = plain_stream(
        "a fox",
        5,
        steer={3: lambda stream: stream.steer(prompt="a slow cat", interp_steps=1, strength=0.4)},
    )
    assert before.frames + after.frames == wanted


async def test_what_is_said_while_a_block_waits_for_its_prompt_is_the_next_block_s(
    slow: tuple[Running, SlowEncoder],
) -> None:
    worker, encoder = slow
    async with connected(worker.url + "?events=1") as viewer:
        async with lane_held(worker.inside):
            await viewer.say(prompt="a fox", num_blocks=3, **QUICK)
            await viewer.say(prompt="a slow cat", at_block=1, interp_steps=1)
            await encoding(encoder)
        before = await viewer.frame(6)
        await viewer.say(prompt="a dog", interp_steps=1)
        await viewer.say(prompt="an owl", interp_steps=1)
        await viewer.say(num_blocks="nonsense")
        between = await viewer.event("warning")
        encoder.go.set()
        after = await viewer.stream()
    told = [one for part in (before, between, after) for one in part.of("steered")]
    assert [(one["block"], one["values"]["prompt"]) for one in told] == [
        (1, "a slow cat"),
        (2, "an owl"),
    ]
    steer = {
        1: lambda stream: stream.steer(prompt="a slow cat", interp_steps=1),
        2: lambda stream: stream.steer(prompt="an owl", interp_steps=1),
    }
    frames = before.frames + between.frames + after.frames
    assert frames == plain_stream("a fox", 3, steer=steer)


async def test_a_prompt_that_cannot_be_encoded_ends_its_own_stream_only(
    slow: tuple[Running, SlowEncoder],
) -> None:
    worker, _ = slow
    async with connected(worker.url) as one, connected(worker.url) as other:
        await one.say(prompt="a fox", num_blocks=1000, **QUICK)
        await one.frame(6)
        await other.say(prompt="a cat", num_blocks=3, **QUICK)
        await one.say(prompt="a broken cat")
        assert (await one.end()).last.code == 1011
        assert (await other.stream()).frames == plain_stream("a cat", 3)


async def test_a_viewer_who_leaves_while_his_prompt_is_encoded_leaves_nothing_behind(
    slow: tuple[Running, SlowEncoder],
) -> None:
    worker, encoder = slow
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a slow fox", num_blocks=2, **QUICK)
        await encoding(encoder)
    async with asyncio.timeout(PATIENCE):
        while worker.inside.admission.taken:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    encoder.go.set()
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a cat", num_blocks=1, **QUICK)
        assert (await viewer.stream()).frames == plain_stream("a cat", 1)
