"""Where changes land: from a file in every format, from the command line, on every shape of blocks."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.engines.held import HeldBefore
from support.engines.small_models import small_model
from support.servers.broken_endpoint import Break, Link, broken_endpoint
from support.servers.worker_server import Running, serving
from support.timelines.files import entry
from support.timelines.streamed import Streamed, first_difference, streamed

from framewire.worker.backends.testcard import TestcardBackend

pytestmark = pytest.mark.timeout(300)
A, B = "a red circle moving right over a night sky", "a blue square moving left over green hills"
SIZE = {"height": 64, "width": 64}
SHAPES = {
    "testcard": (6, 12, 42),
    "tiny-random": (6, 12, 42),
    "tiny-self-forcing": (9, 12, 45),
    "tiny-framewise": (1, 4, 45),
    "tiny-streamdiffusionv2": (5, 4, 45),
}
"""By backend: frames of the first block, of each later one, and the first frame of the block that
contains frame 48."""


@asynccontextmanager
async def worker(backend: str) -> AsyncIterator[Running]:
    """The same bytes take the same number of threads."""
    made = TestcardBackend() if backend == "testcard" else small_model(backend)
    async with serving(made, codec_threads=1) as running:
        yield running


def written(folder: Path, name: str, value: Any) -> str:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def plan(*entries: dict[str, Any], version: str = "2.1") -> dict[str, Any]:
    return {
        "version": version,
        "prompts": [*entries],
        "settings": {"seed": 7, "resolution": SIZE},
    }


def one() -> dict[str, Any]:
    return plan(entry(0, 6, A))


def two(**transition: Any) -> dict[str, Any]:
    return plan(entry(0, 3, A), entry(3, 6, B, **transition))


@pytest.mark.parametrize("backend", SHAPES)
async def test_a_change_shows_from_the_block_that_contains_its_frame_and_not_before(
    backend: str, tmp_path: Path
) -> None:
    """Of six seconds, with a cut or a slow transition; the same twice, and by --steer 3.0s too."""
    *_, begins = SHAPES[backend]
    async with worker(backend) as running:

        async def play(name: str, value: Any) -> Streamed:
            path = written(tmp_path, name, value)
            found = await streamed(tmp_path, "--timeline", path, url=running.url)
            assert found.code == 0, found.said
            return found

        plain = await play("one.json", one())
        cut = await play("cut.json", two(transitionSteps=0))
        slow = await play("slow.json", two(transitionSteps=4))
        again = await play("again.json", two(transitionSteps=4))
        steered = await streamed(
            tmp_path, A, "--seed", "7", "--size", "64x64", "--frames", "96",
            "--steer", f"3.0s={B}", url=running.url,
        )  # fmt: skip
    assert [len(each.frames) for each in (plain, cut, slow, again, steered)] == [96] * 5
    assert first_difference(plain.frames, cut.frames) == begins
    assert first_difference(plain.frames, slow.frames) == begins
    assert cut.frames != slow.frames
    assert slow.frames == again.frames, "the same twice"
    assert steered.frames == cut.frames, "one rule for both"
    assert cut.found["timeline"]["changes"] == "held from the start"
    (change,) = cut.found["steers"]
    assert change["block"] == change["at_block"]


@pytest.mark.parametrize("backend", ["testcard", "tiny-streamdiffusionv2"])
async def test_the_same_plan_in_any_format_makes_the_same_frames(
    backend: str, tmp_path: Path
) -> None:
    """A file of 2.0, a workflow, prompts by frame, prompt lists."""
    workflow = {
        "format": "scope-workflow",
        "format_version": "1.0",
        "pipelines": [{"pipeline_id": "krea-realtime-video", "params": {"base_seed": 7, **SIZE}}],
        "timeline": {
            "entries": [
                {"start_time": 0, "end_time": 3, "prompts": [{"text": A, "weight": 100}]},
                {"start_time": 3, "end_time": 6, "prompts": [{"text": B, "weight": 100}]},
            ]
        },
    }
    lists = json.dumps({"prompts": [A, B], "switch_frame_indices": [12]})
    bounds = ("--frames", "96", "--seed", "7", "--size", "64x64")
    files = (
        (written(tmp_path, "a.json", plan(entry(0, 3, A), entry(3, 6, B), version="2.0")), ()),
        (written(tmp_path, "b.scope-workflow.json", workflow), ()),
        (written(tmp_path, "c.json", {"0": A, "48": B}), bounds),
        (written(tmp_path, "d.jsonl", lists), bounds),
    )
    async with worker(backend) as running:
        found = [
            await streamed(tmp_path, "--timeline", path, *more, url=running.url)
            for path, more in files
        ]
    assert [each.code for each in found] == [0] * 4, [each.said for each in found]
    assert len(found[0].frames) == 96
    for other in found[1:]:
        assert other.frames == found[0].frames


async def test_a_server_that_holds_nothing_is_steered_by_counting_frames_and_that_is_said(
    tmp_path: Path,
) -> None:
    """As fal's: never before the block, and as many frames as the file has."""
    held = HeldBefore(6)

    def goes_on(_: Link, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("prompt") == B:
            held.gate.open()
        return values

    async def played(url: str, name: str, value: Any) -> Streamed:
        path = written(tmp_path, f"{name}.json", value)
        return await streamed(tmp_path, "--plain", "--timeline", path, url=url)

    async with serving(TestcardBackend()) as running:
        plain = await played(running.url, "one", one())
    async with (
        serving(held) as running,
        broken_endpoint(running.url.removesuffix("/ws"), Break(maps=goes_on)) as origin,
    ):
        changed = await played(f"{origin}/ws", "two", two(transitionSteps=0))
    assert [len(each.frames) for each in (plain, changed)] == [96, 96], plain.said
    difference = first_difference(plain.frames, changed.frames)
    assert difference is not None and difference >= 42
    (note,) = changed.found["notes"]
    assert "this server holds no changes" in note and note in changed.said
    assert changed.found["timeline"]["changes"] == "by counting frames"


async def test_seed_and_size_of_the_command_line_override_the_file_s(tmp_path: Path) -> None:
    path = written(tmp_path, "two.json", two())
    usual = await streamed(tmp_path, "--timeline", path)
    other = await streamed(tmp_path, "--timeline", path, "--seed", "8", "--size", "128x64")
    assert (usual.found["seed"], usual.found["width"]) == (7, 64)
    assert (other.found["seed"], other.found["width"], other.found["height"]) == (8, 128, 64)
    assert len(other.frames) == 96 and other.frames[0] != usual.frames[0]


async def test_what_is_not_honoured_is_said_on_stderr_and_in_json(tmp_path: Path) -> None:
    """Also that the file is for another model, and the exit code is 0 all the same."""
    value = two() | {"shiny": 1}
    value["settings"] |= {
        "pipelineId": "streamdiffusionv2", "kvCacheAttentionBias": 0.3, "inputMode": "video",
        "denoisingSteps": [700, 500], "noiseScale": 0.7,
    }  # fmt: skip
    found = await streamed(tmp_path, "--timeline", written(tmp_path, "two.json", value))
    assert found.code == 0 and len(found.frames) == 96
    said = "\n".join(found.found["not_honoured"])
    for what in ("kvCacheAttentionBias", "denoisingSteps", "noiseScale", "inputMode", "shiny"):
        assert what in said and what in found.said
    assert found.found["notes"] == ["made for streamdiffusionv2, played on testcard"]
    assert "made for streamdiffusionv2" in found.said


async def test_a_loop_goes_on_until_so_many_frames(tmp_path: Path) -> None:
    """Without a cut: the first prompt takes over again, at its moment of the second round."""
    path = written(tmp_path, "two.json", two(transitionSteps=0))
    once = await streamed(tmp_path, "--timeline", path)
    loop = await streamed(tmp_path, "--timeline", path, "--loop", "--frames", "200")
    assert len(loop.frames) == 200
    assert loop.frames[:90] == once.frames[:90], "frame 96 is in the block from 90 on"
    assert [(one["when"], one["block"]) for one in loop.found["steers"]] == [
        ("48f", 4), ("96f", 8), ("144f", 12), ("192f", 16),
    ]  # fmt: skip


async def test_markers_hold_a_picture_jump_and_start_over(tmp_path: Path) -> None:
    """A reset is a stream of its own, with the same seed; a held picture comes again and again."""
    value = two(transitionSteps=0) | {
        "markers": [
            {"time": 1, "type": "pause", "seconds": 0.5},
            {"time": 2, "type": "reset"},
            {"time": 4, "type": "jump", "to": 5},
        ]
    }
    plain = await streamed(tmp_path, "--timeline", written(tmp_path, "one.json", one()))
    found = await streamed(tmp_path, "--timeline", written(tmp_path, "it.json", value))
    assert found.code == 0, found.said
    assert len(found.frames) == 32 + 8 + 32 + 16 and found.found["timeline"]["streams"] == 2
    first = [*plain.frames[:16], *[plain.frames[15]] * 8, *plain.frames[16:32]]
    assert found.frames[:40] == first
    assert found.frames[40:46] == plain.frames[:6], "the stream began anew"
    assert found.frames[40 + 16 :] != plain.frames[16:64]


async def test_a_map_without_an_end_has_to_be_bounded(tmp_path: Path) -> None:
    """By frames or blocks; else it is refused before anything is started."""
    path = written(tmp_path, "map.json", {"0": A, "48": B})
    refused = await streamed(tmp_path, "--timeline", path, "--size", "64x64")
    assert refused.code == 2 and "say --frames N or --blocks N" in refused.said
    for bound, frames in (("--frames=60", 60), ("--blocks=5", 54)):
        found = await streamed(tmp_path, "--timeline", path, "--size", "64x64", bound)
        assert (found.code, len(found.frames)) == (0, frames), found.said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give a PROMPT, or --timeline FILE"),
        (("--loop", "a fox"), "--loop is for a --timeline"),
        (("--timeline", "two.json", "a fox"), "PROMPT and --timeline"),
        (("--timeline", "two.json", "--steer", "1s=a"), "--steer and --timeline"),
        (("--timeline", "two.json", "--blend", "a=1"), "--blend and --timeline"),
        (("--timeline", "two.json", "--loop"), "a loop has no end"),
        (("--timeline", "two.gif", "--out", "two.gif"), "same file as --timeline"),
        (("--timeline", "bad.json"), "bad.json: prompts[1]: begins at 2 s, within prompts[0]"),
        (("--timeline", "two.json", "--seed", "-1"), "seed"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_started(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    for name in ("two.json", "two.gif"):
        written(tmp_path, name, two())
    written(tmp_path, "bad.json", plan(entry(0, 3, A), entry(2, 5, B)))
    found = await streamed(tmp_path, *arguments)
    assert found.code == 2 and found.frames == []
    assert says in found.said and "Traceback" not in found.said
    assert found.said.count("\n") == 1
