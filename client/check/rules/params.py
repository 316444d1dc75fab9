"""Section 3: what params mean, seen in the frames that come of them."""

from __future__ import annotations

from typing import Any

from framewire.client.check.jpeg_header import read_jpeg_header
from framewire.client.check.probe import Probe
from framewire.client.check.raw_socket import Seen, is_answer
from framewire.client.check.rule import rule
from framewire.client.check.streams import (
    baseline,
    baseline_frames,
    blend,
    blended,
    blended_again,
    early,
    nil_values,
    short,
)
from framewire.client.check.verdict import must, needs, not_offered

BAD_PROMPTS: tuple[dict[str, Any], ...] = (
    {"seed": 7},
    {"prompt": ""},
    {"prompt": " \n"},
    {"prompt": 7},
    {"prompt": "x" * 8193},
)
OUT_OF_RANGE: tuple[tuple[str, Any], ...] = (
    ("width", 63),
    ("height", 2049),
    ("num_blocks", 0),
    ("num_denoising_steps", 9),
    ("denoising_steps", [500, 1000]),
    ("seed", 2**24 + 1),
    ("strength", 1.5),
    ("timestep_shift", 0),
    ("kv_cache_num_frames", 13),
    ("interp_steps", 65),
    ("input", "oldest"),
    ("fps", 0.05),
    ("fmt", "png"),
)
BAD_BLENDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a negative weight", {"prompts": blend(1, -1)}),
    ("no weight above 0", {"prompts": blend(0, 0)}),
    ("nine texts", {"prompts": blend(1, 1)[:1] * 9}),
    ("no prompt among them", {"prompts": blend(1, 1)[1:]}),
    ("slerp of one", {"prompts": blend(1, 1)[:1], "blend": {"method": "slerp"}}),
)
BOOLEANS = ("num_blocks", "seed", "width", "strength")
NOT_PICTURES = ("/etc/hostname", "http://127.0.0.1:9/a.jpg", "file:///etc/hostname", b"")


async def refused(probe: Probe, tries: list[tuple[str, dict[str, Any]]]) -> None:
    """Each of these maps, named, is answered by an error and by nothing else."""
    async with probe.ready() as socket:
        for name, values in tries:
            await socket.say(values)
            seen = await socket.until(is_answer, probe.timing.between)
            must(seen.ending == "wanted", f"{name}: {seen.told()}")
            must(seen.errors, f"{name} was taken")


def accepted(seen: Seen) -> None:
    """A stream came of it."""
    must(seen.frames and not seen.errors, seen.told())


@rule("3.1", "params start a stream of frames", blocks=6)
async def params_start_a_stream(probe: Probe) -> None:
    accepted((await probe.once(baseline)).stream)


@rule("3.2", "a prompt is required, and is a text that is not blank")
async def prompt_required(probe: Probe) -> None:
    names = ("no prompt", "an empty one", "a blank one", "a number", "8193 characters")
    await refused(probe, list(zip(names, BAD_PROMPTS, strict=True)))


@rule("3.3", "values out of their range are refused")
async def ranges(probe: Probe) -> None:
    await refused(
        probe, [(f"{key} {value}", probe.params(**{key: value})) for key, value in OUT_OF_RANGE]
    )


@rule("3.4", "true and false are no numbers")
async def booleans(probe: Probe) -> None:
    await refused(probe, [(f"{key} true", probe.params(**{key: True})) for key in BOOLEANS])


@rule("3.5", "keys that it does not know, and keys that are no text, are ignored", blocks=1)
async def unknown_keys(probe: Probe) -> None:
    odd: dict[Any, Any] = {"unknown": {"a": [1]}, 5: 6, b"bytes": 1, "session_id": "x"}
    accepted(await short(probe, probe.params(num_blocks=1) | odd))


@rule("3.6", "nil means absent", blocks=1)
async def nil_is_absent(probe: Probe) -> None:
    accepted(await probe.once(nil_values))


@rule("3.7", "a float without a fraction is an integer", blocks=1)
async def integral_floats(probe: Probe) -> None:
    accepted(await short(probe, probe.params(num_blocks=1.0, seed=7.0)))


@rule("3.8", "frames have the size that was asked for")
async def size_is_kept(probe: Probe) -> None:
    frames = await baseline_frames(probe)
    needs(probe.size, "no size was asked for, to spare a hosted model")
    must(_size(frames[0]) == probe.size, f"{_size(frames[0])}, not {probe.size}")


@rule("3.9", "a size that is not aligned is snapped, not refused", blocks=1)
async def size_is_snapped(probe: Probe) -> None:
    width, height = probe.size or (832, 480)
    seen = await short(probe, probe.params(num_blocks=1, width=width + 3, height=height + 3))
    accepted(seen)
    got = _size(seen.frames[0])
    near = got is not None and abs(got[0] - width) <= 16 and abs(got[1] - height) <= 16
    must(near and got and got[0] % 8 == got[1] % 8 == 0, f"{got} for {width + 3}x{height + 3}")


@rule("3.10", "the same seed gives the same frames")
async def seed_repeats(probe: Probe) -> None:
    needs(not probe.is_fal, "hosted models may run on different machines")
    other = (await probe.once(early)).frames
    needs(other, "no second stream: see 2.4")
    must(other[0] == (await baseline_frames(probe))[0], "the first frames differ")


@rule("3.11", "another seed gives other frames")
async def seed_counts(probe: Probe) -> None:
    other = (await probe.once(nil_values)).frames
    needs(other, "no second stream: see 3.6")
    must(other[0] != (await baseline_frames(probe))[0], "the first frames are the same")


@rule("3.12", "a start frame is never a path or a URL, and is refused where it is no picture")
async def no_paths(probe: Probe) -> None:
    tries = [(f"{value!r}", probe.params(start_frame=value)) for value in NOT_PICTURES]
    await refused(probe, tries)


@rule("3.13", "the stream begins with the start frame", blocks=1)
async def start_frame(probe: Probe) -> None:
    frames = await baseline_frames(probe)
    given = probe.params(num_blocks=1, start_frame=frames[-1])
    seen = await short(probe, given)
    accepted(seen)
    must(seen.frames[0] != frames[0], "the frames are the same with and without it")


async def offers_blends(probe: Probe) -> None:
    """Skip what is about blends where only the `prompt` is shown."""
    frames = (await probe.once(blended)).frames
    needs(frames, "no stream came of prompts beside a prompt")
    if frames[0] == (await baseline_frames(probe))[0]:
        not_offered("the frames are those of the prompt alone")


@rule("3.14", "prompts are blended, and only the ratios of their weights count", blocks=4)
async def blends(probe: Probe) -> None:
    accepted(await probe.once(blended))
    await offers_blends(probe)
    again = await probe.once(blended_again)
    accepted(again)
    first = (await probe.once(blended)).frames[0]
    must(first == again.frames[0], "the same blend in other words gives other frames")


@rule("3.15", "prompts that cannot be blended are refused")
async def bad_blends(probe: Probe) -> None:
    await offers_blends(probe)
    await refused(probe, [(name, probe.params(**values)) for name, values in BAD_BLENDS])


def _size(frame: bytes) -> tuple[int, int] | None:
    try:
        header = read_jpeg_header(frame)
    except ValueError:
        return None
    return header.width, header.height


RULES = (
    params_start_a_stream,
    prompt_required,
    ranges,
    booleans,
    unknown_keys,
    nil_is_absent,
    integral_floats,
    size_is_kept,
    size_is_snapped,
    seed_repeats,
    seed_counts,
    no_paths,
    start_frame,
    blends,
    bad_blends,
)
