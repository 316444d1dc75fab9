"""Section 6: what changes a running stream, and what must not."""

from __future__ import annotations

from framewire.client.check.probe import Probe
from framewire.client.check.raw_socket import told_shape
from framewire.client.check.rule import rule
from framewire.client.check.rules.params import offers_blends
from framewire.client.check.streams import (
    HELD_UNTIL,
    REQUEST_ID,
    baseline_frames,
    blended,
    blended_again,
    by_params,
    ended_midway,
    in_the_second_block,
    live,
    long_blocks,
    nil_values,
    planned,
    reset_midway,
    rich,
    steered,
)
from framewire.client.check.verdict import must, needs, not_offered


@rule("6.1", "a new prompt shows in later blocks", blocks=6)
async def prompt_takes_over(probe: Probe) -> None:
    before = await baseline_frames(probe)
    seen = await probe.once(steered)
    must(not seen.errors, seen.told())
    needs(len(seen.frames) >= len(before), f"the stream was too short to tell: {seen.told()}")
    last = len(before) - 1
    must(seen.frames[last] != before[last], f"frame {last} is what it was with the first prompt")


@rule("6.2", "a prompt equal to the one in force is no change")
async def same_prompt(probe: Probe) -> None:
    maps = (await probe.once(rich)).envelopes
    if not maps or "prompt_version" not in maps[0]:
        not_offered("frames do not tell the version of their prompt")
    versions = {
        values.get("prompt_version") for values in maps if values.get("block", 0) < HELD_UNTIL
    }
    must(versions <= {1}, f"frames before the change are of prompt versions {versions}")


@rule("6.3", "num_blocks is the new total")
async def new_total(probe: Probe) -> None:
    seen = await probe.once(steered)
    needs(seen.frames and not seen.errors, f"the stream ended: see 6.1: {seen.told()}")
    if not seen.completed:
        not_offered("the stream went on")
    await probe.once(by_params)
    wanted = probe.shape.frames(long_blocks(probe))
    must(len(seen.frames) == wanted, f"{len(seen.frames)} frames in all, not {wanted}")


@rule("6.4", "reset starts over with the values that came with it", blocks=4)
async def reset(probe: Probe) -> None:
    frames = (await probe.once(nil_values)).frames
    needs(frames, "no stream to compare with: see 3.6")
    seen = await probe.once(reset_midway)
    must(not seen.errors, seen.told())
    start = (await baseline_frames(probe))[0]
    if frames[0] not in seen.frames and seen.frames.count(start) < 2:
        not_offered("the stream went on")
    must(frames[0] in seen.frames, "it started over from the seed before")
    again = seen.frames[seen.frames.index(frames[0]) :]
    must(again == frames, f"{len(again)} frames after it, not the {len(frames)} of its one block")


@rule("6.5", "action end completes the stream early", blocks=4)
async def end(probe: Probe) -> None:
    seen = await probe.once(ended_midway)
    needs(seen.frames and not seen.errors, f"the stream did not go on: see 6.6: {seen.told()}")
    if seen.ending == "wanted" and not seen.completed:
        not_offered("the stream went on")
    must(seen.completed, seen.told())


@rule("6.6", "a map that cannot be used gets no error, and the stream goes on")
async def bad_maps(probe: Probe) -> None:
    seen = await probe.once(ended_midway)
    must(not seen.errors and seen.ending == "wanted", seen.told())


@rule("6.7", "at_block holds a map until that block")
async def at_block(probe: Probe) -> None:
    maps = (await probe.once(rich)).envelopes
    if not maps or {"block", "prompt_version"} - maps[0].keys():
        not_offered("frames do not tell block and version of their prompt")
    first = [values["block"] for values in maps if values.get("prompt_version") != 1][:1]
    if not first:
        not_offered("the map was not used")
    must(first == [HELD_UNTIL], f"held until block {HELD_UNTIL}, it shows in block {first[0]}")


@rule("6.8", "live pictures make frames", blocks=1)
async def live_input(probe: Probe) -> None:
    seen = await probe.once(live)
    must(seen.frames and not seen.errors, seen.told())


@rule("6.9", "frames name the request_id of the picture that they were made from")
async def request_id(probe: Probe) -> None:
    seen = await probe.once(live)
    if not seen.envelopes:
        not_offered("frames are bare JPEGs, or none came: see 6.8")
    named = {str(values.get("request_id")) for values in seen.envelopes}
    must(named == {REQUEST_ID}, f"{REQUEST_ID!r} was sent, and frames name {sorted(named)}")


@rule("6.10", "a plain prompt ends a blend")
async def blend_ends(probe: Probe) -> None:
    await offers_blends(probe)
    seen, goes_on = await probe.once(blended), await probe.once(blended_again)
    needs(seen.completed and goes_on.completed, f"the streams ended: {seen.told()}")
    must(seen.frames[-1] != goes_on.frames[-1], "the last frames are those of the blend")


@rule("6.11", "what came as steers waits for the block that contains its frame", blocks=3)
async def plan(probe: Probe) -> None:
    seen = await probe.once(planned)
    told = any(map(told_shape, seen.texts))
    maps = seen.envelopes
    if not told or not maps:
        not_offered("started does not tell how many frames a block has")
    frame = in_the_second_block(probe)
    block = probe.shape.block_of(frame)
    first = [values["block"] for values in maps if values.get("prompt_version") != 1][:1]
    must(bool(first), "the map was not used")
    must(first == [block], f"frame {frame} is in block {block}; it shows in block {first}")


RULES = (
    prompt_takes_over,
    same_prompt,
    new_total,
    reset,
    end,
    bad_maps,
    at_block,
    live_input,
    request_id,
    blend_ends,
    plan,
)
