"""Sections 5 and 7: what frames look like, how many there are, and what follows the last one."""

from __future__ import annotations

from framewire.client.check.as_a_page import FPS, WITHIN, drawn
from framewire.client.check.jpeg_header import read_jpeg_header
from framewire.client.check.probe import Probe
from framewire.client.check.raw_socket import Seen, told_shape
from framewire.client.check.rule import rule
from framewire.client.check.streams import (
    Afterwards,
    afterwards,
    baseline,
    baseline_frames,
    by_params,
    early,
    long_blocks,
    rich,
)
from framewire.client.check.verdict import Broken, must, needs, not_offered


@rule("5.1", "each BINARY message is one whole JPEG")
async def whole_jpegs(probe: Probe) -> None:
    for index, frame in enumerate(await baseline_frames(probe)):
        try:
            read_jpeg_header(frame)
        except ValueError as error:
            raise Broken(f"frame {index} {error}") from None


@rule("5.2", "JPEGs are coloured, 4:2:0")
async def sampling(probe: Probe) -> None:
    frame = (await baseline_frames(probe))[0]
    try:
        found = read_jpeg_header(frame).sampling
    except ValueError as error:
        needs(False, f"frame 0 {error}: see 5.1")
    must(found == "2x2 1x1 1x1", f"components are sampled {found}")


@rule("5.3", "6 frames for the first block and 12 for each later one, or what started tells")
async def counts(probe: Probe) -> None:
    first = len((await probe.once(early)).frames)
    is_told = any(map(told_shape, (await probe.once(by_params)).texts))
    needs(
        is_told or first == probe.shape.first,
        f"one block was {first} frames, and started does not tell how many are right",
    )
    must(first == probe.shape.first, f"one block was {first} frames, not {probe.shape.first}")
    blocks, found = long_blocks(probe), len(await baseline_frames(probe))
    wanted = probe.shape.frames(blocks)
    must(found == wanted, f"{found} frames for {blocks} blocks, not {wanted}")


def _check_envelopes(seen: Seen) -> None:
    maps = seen.envelopes
    if not maps:
        not_offered("frames are bare JPEGs")
    must(len(maps) == len(seen.frames), "some frames are maps and some are not")
    for place, values in enumerate(maps):
        missing = {"image", "index", "block", "prompt_version"} - values.keys()
        must(not missing, f"frame {place} lacks {', '.join(sorted(missing))}")
        must(values["index"] == place, f"frame {place} says index {values['index']}")
    blocks = [values["block"] for values in maps]
    must(blocks[0] == 0 and blocks == sorted(blocks), "blocks do not count up from 0")
    must(maps[0]["prompt_version"] == 1, "the first prompt is not version 1")


@rule("5.4", "with fmt=msgpack in the URL frames are maps that count", blocks=4)
async def envelopes(probe: Probe) -> None:
    _check_envelopes(await probe.once(rich))


@rule("5.5", "fmt in the params does the same", blocks=1)
async def envelopes_by_params(probe: Probe) -> None:
    _check_envelopes(await probe.once(by_params))


@rule(
    "5.6",
    "a page that asks for neither fps nor events sees a new prompt within two blocks",
    blocks=4,
)
async def paced_for_pages(probe: Probe) -> None:
    if not (await probe.once(rich)).envelopes:
        not_offered("frames are bare JPEGs")
    seen = await drawn(probe)
    needs(seen.before, "no frames came to a page")
    at = seen.before[-1].block
    shown = [frame.block for frame in seen.after if frame.prompt_version > 1]
    must(
        shown and shown[0] <= at + WITHIN,
        f"changed in block {at}, the prompt does not show by block {at + WITHIN}: a page that "
        f"draws {FPS:g} frames a second lags",
    )


@rule("7.1", "completed comes, and after the last frame")
async def completed_last(probe: Probe) -> None:
    await baseline_frames(probe)
    made = await probe.once(baseline)
    must(made.stream.completed, made.stream.told())
    must(not made.after.frames, f"{len(made.after.frames)} frames came after it")


@rule("7.2", "completed names the session")
async def completed_names(probe: Probe) -> None:
    said = [text for text in (await probe.once(baseline)).stream.texts if text.get("status")]
    needs(said, "nothing was said: see 7.1")
    name = said[-1].get("session_id")
    must(isinstance(name, str) and name, f"session_id is {name!r}")
    if probe.path[:1] == ["session"]:
        must(name == probe.path[1], f"session_id is {name!r}, and the URL names {probe.path[1]!r}")


@rule("7.3", "the socket stays open after completed, and quiet")
async def stays_open(probe: Probe) -> None:
    made = await probe.once(baseline)
    needs(made.stream.completed, "the stream did not complete: see 7.1")
    must(made.after.ending != "closed", made.after.told())
    must(not made.after.texts, f"it said {made.after.texts}"[:100])


async def _after(probe: Probe) -> Afterwards:
    return await probe.once(afterwards)


@rule("7.4", "a picture after completed is dropped without an answer", blocks=1)
async def picture_is_dropped(probe: Probe) -> None:
    seen = (await _after(probe)).of_picture
    must(seen.ending == "silence" and not seen.messages, seen.told())


@rule("7.5", "a prompt after completed starts another stream, absent keys unchanged", blocks=1)
async def prompt_starts_another(probe: Probe) -> None:
    after = await _after(probe)
    if not after.of_prompt.frames and not after.of_prompt.errors:
        not_offered(after.of_prompt.told())
    _must_repeat(probe, after.stream, after.of_prompt)


@rule("7.6", "a reset after completed runs the last stream again", blocks=1)
async def reset_runs_again(probe: Probe) -> None:
    after = await _after(probe)
    if not after.of_reset.frames and not after.of_reset.errors:
        not_offered(after.of_reset.told())
    _must_repeat(probe, after.stream, after.of_reset)


def _must_repeat(probe: Probe, one: Seen, other: Seen) -> None:
    must(not other.errors, other.told())
    must(
        len(other.frames) == len(one.frames) and other.completed,
        f"{len(other.frames)} frames, and {len(one.frames)} before",
    )
    # Hosted models need not repeat themselves to the byte.
    same = probe.is_fal or other.frames[:1] == one.frames[:1]
    must(same, "with the same values, its frames differ")


FRAME_RULES = (whole_jpegs, sampling, counts, envelopes, envelopes_by_params, paced_for_pages)
COMPLETED_RULES = (
    completed_last,
    completed_names,
    stays_open,
    picture_is_dropped,
    prompt_starts_another,
    reset_runs_again,
)
