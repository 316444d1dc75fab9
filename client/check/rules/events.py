"""Section 9: events, for those who ask and for nobody else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from framewire.client.check.probe import Probe
from framewire.client.check.raw_socket import Seen
from framewire.client.check.rule import rule
from framewire.client.check.streams import HELD_UNTIL, baseline, by_params, rich
from framewire.client.check.verdict import must, needs, not_offered

KINDS = ("queued", "started", "block", "steered", "warning")
STARTED = {"session_id", "seed", "width", "height", "num_blocks", "backend"}
BLOCK = {"block", "index", "frames", "prompt_version", "ms"}
STEERED = {"block", "prompt_version", "applied"}


def _events(seen: Seen, kind: str) -> list[dict[str, Any]]:
    if not any(seen.events(each) for each in KINDS):
        not_offered("no event came")
    return seen.events(kind)


def _has(event: dict[str, Any], keys: set[str]) -> None:
    missing = keys - event.keys()
    must(not missing, f"{event['type']} lacks {', '.join(sorted(missing))}")


@rule("9.1", "no event is sent unasked")
async def none_unasked(probe: Probe) -> None:
    seen = (await probe.once(baseline)).stream
    unasked = [kind for kind in KINDS if seen.events(kind)]
    must(not unasked, f"it sent {', '.join(unasked)}")


@rule("9.2", "started says with what values a stream begins")
async def started(probe: Probe) -> None:
    seen = await probe.once(rich)
    events = _events(seen, "started")
    must(len(events) == 1, f"{len(events)} times started")
    _has(events[0], STARTED)
    must(events[0]["seed"] == 7, f"seed 7 was sent, and it says {events[0]['seed']}")
    early = seen.messages[: seen.messages.index(events[0])]
    must(not any(isinstance(message, bytes) for message in early), "frames came before it")


@rule("9.3", "block tells each block, after its frames")
async def blocks(probe: Probe) -> None:
    seen = await probe.once(rich)
    events = _events(seen, "block")
    must(events, "no block event came")
    for event in events:
        _has(event, BLOCK)
    must([event["block"] for event in events] == list(range(len(events))), "blocks are not in turn")
    sent = 0
    for event in events:
        before = seen.messages[: seen.messages.index(event)]
        came = sum(isinstance(message, bytes) for message in before)
        must(event["index"] == sent, f"block {event['block']} begins at index {event['index']}")
        sent += event["frames"]
        must(came == sent, f"block {event['block']} was told after {came} frames, not {sent}")
    must(sent == len(seen.frames), f"{sent} frames were told and {len(seen.frames)} sent")


@rule("9.4", "steered says from which block on, and what")
async def steered(probe: Probe) -> None:
    events = _events(await probe.once(rich), "steered")
    must(events, "a prompt changed and no steered came")
    for event in events:
        _has(event, STEERED)
    must("prompt" in events[-1]["applied"], f"applied: {events[-1]['applied']}")
    block = events[-1]["block"]
    must(block == HELD_UNTIL, f"held until block {HELD_UNTIL}, it says block {block}")
    versions = [event["prompt_version"] for event in events]
    must(all(a <= b for a, b in pairwise(versions)) and versions[-1] == 2, f"versions {versions}")


@rule("9.5", "what is dropped is told by a warning, which has no error key")
async def warning(probe: Probe) -> None:
    seen = await probe.once(rich)
    events = _events(seen, "warning")
    must(not seen.errors, seen.told())
    must(events, "a strength of 7 was dropped without a warning")
    _has(events[0], {"reason"})


@rule("9.6", "events in the params are as good as in the URL")
async def by_params_too(probe: Probe) -> None:
    seen = await probe.once(by_params)
    needs(seen.frames, f"no stream: see 5.5: {seen.told()}")
    asked = await probe.once(rich)
    _events(asked, "started")
    must(seen.events("block"), "no event came, and some did where the URL asked for them")


RULES = (none_unasked, started, blocks, steered, warning, by_params_too)
