"""`framewire stream --input`: a clip in, a clip of the same length out, through real sockets."""

import asyncio
import io
import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers.worker_server import serving
from support.video_files_made import seen, video

from framewire.client import connect
from framewire.client.cli import _parser
from framewire.client.commands.stream import prepare, run_stream
from framewire.client.live_input import open_source
from framewire.worker.backends.base import Backend
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import ModelSetup


def backend_of(name: str) -> Backend:
    if name == "testcard":
        return TestcardBackend()
    return servable_presets()[name].make(ModelSetup(warm_sizes="64x64"))


async def restyled(backend: Backend, clip: Path, out: Path, *options: str) -> int:
    """What the command does with its options, in this event loop."""
    async with serving(backend, codec_threads=1) as worker:
        found = _parser().parse_args(
            ["stream", "a fox", "--url", worker.url, "--seed", "3", "--input", str(clip),
             "--out", str(out), *options]
        )  # fmt: skip
        async with asyncio.timeout(60):
            return await run_stream(found, prepare(found))


@pytest.mark.parametrize("count", [1, 5, 27])
@pytest.mark.parametrize("name", ["testcard", "tiny-random", "tiny-streamdiffusionv2"])
async def test_the_result_has_the_clips_length_rate_and_order(
    tmp_path: Path, name: str, count: int
) -> None:
    """Of a model that withholds frames, and of clips that end within a block or before the first.

    Every picture is brighter than the one before. At little strength so is every frame; the tiny
    models make noise, whose frames are told apart by their number alone.
    """
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    grey = [(8 * number + 20,) * 3 for number in range(count)]
    clip.write_bytes(video(grey, fps=24, size=(128, 64)))
    options = ["--strength", "0.01", "--size", "128x64"]
    assert await restyled(backend_of(name), clip, out, *options) == 0
    result = seen(out.read_bytes())
    assert len(result.frames) == count
    assert result.fps == 24
    if name == "testcard":
        levels = [float(frame.mean()) for frame in result.frames]
        assert levels == pytest.approx([level for level, _, _ in grey], abs=12)
        assert levels == sorted(levels)


async def test_a_live_model_gives_the_result_the_clips_shape(tmp_path: Path) -> None:
    """Not its size, though it would follow that of the first picture."""
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 2, size=(64, 96)))
    assert await restyled(backend_of("tiny-streamdiffusionv2"), clip, out) == 0
    result = seen(out.read_bytes())
    assert result.size == (480, 832)
    assert len(result.frames) == 2


@pytest.mark.parametrize("options", [(), ("--plain",)])
async def test_bad_pictures_among_good_are_named_counted_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """The rest is streamed, nothing is repeated for them, and the exit code is that of success."""
    folder, out = tmp_path / "clip", tmp_path / "out"
    folder.mkdir()
    for number in range(1, 31):
        grey = np.full((64, 128, 3), 8 * number, np.uint8)
        (folder / f"{number}.png").write_bytes(_png(grey))
    (folder / "2.5.png").mkdir()
    (folder / "10.jpg").write_bytes(b"\xff\xd8\xff\xe0 half")
    (folder / "20b.jpg").write_bytes(b"nothing")
    (folder / "._1.png").write_bytes(b"not counted")
    code = await restyled(
        TestcardBackend(), folder, out, "--size", "128x64", "--strength", "0.01", *options
    )
    assert code == 0
    said = capsys.readouterr()
    assert "left out: 2.5.png: is a folder" in said.err
    assert "left out: 10.jpg: is damaged" in said.err
    assert "left out: 20b.jpg: is no picture" in said.err
    assert said.out.splitlines()[-1].endswith("30 of 33 used")
    frames = [np.asarray(Image.open(path)) for path in sorted(out.glob("*.jpg"))]
    levels = [float(frame.mean()) for frame in frames]
    assert len(levels) == 30
    if not options:  # a plain wire does not tell which frames are the lead's
        assert all(after > before for before, after in pairwise(levels))


@pytest.mark.parametrize("options", [(), ("--plain",), ("--json",)])
async def test_the_exit_code_is_1_where_nothing_was_usable_and_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """In every mode, though no frame came."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"nothing")
    assert await restyled(TestcardBackend(), folder, tmp_path / "out", *options) == 1
    said = capsys.readouterr()
    assert "no picture of" in said.err
    if "--json" in options:
        count = json.loads(said.out)["input"]
        assert (count["used"], count["of"], len(count["left_out"])) == (0, 3, 3)
    else:
        assert said.out.splitlines()[-1].endswith("0 of 3 used")


async def test_the_report_counts_all_of_a_clip_that_blocks_cut_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 60))
    options = ("--size", "64x64", "--blocks", "2")
    assert await restyled(TestcardBackend(), clip, tmp_path / "out", *options) == 0
    assert re.search(r"clip\.mp4: 1[0-9] of 60 used$", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("size", "made"),
    [((128, 96), (832, 480)), ((64, 128), (480, 832)), ((96, 96), (640, 640))],
)
async def test_a_stream_without_a_size_takes_the_shape_of_its_clip_and_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    size: tuple[int, int],
    made: tuple[int, int],
) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 2, size=size))
    assert await restyled(TestcardBackend(), clip, out) == 0
    assert seen(out.read_bytes()).size == made
    assert f"the stream is {made[0]}x{made[1]}, after the shape of" in capsys.readouterr().err


async def test_kreas_own_server_is_asked_for_no_other_size_than_its_own(tmp_path: Path) -> None:
    """It fails at any other one."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 2, size=(64, 128)))
    arguments = ["stream", "a fox", "--input", str(clip), "--url"]
    for url, size in (
        ("ws://127.0.0.1:9/session/abc", None),
        ("ws://127.0.0.1:9/ws", (480, 832)),
        ("ws://127.0.0.1:9/ws?next=/session/", (480, 832)),
    ):
        found = _parser().parse_args([*arguments, url])
        prepare(found)
        assert found.size == size


def _png(pixels: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def folder_of(folder: Path, count: int) -> Path:
    for number in range(count):
        (folder / f"{number:02}.png").write_bytes(_png(np.full((64, 64, 3), 8 * number, np.uint8)))
    return folder


@pytest.mark.parametrize("bound", [("--blocks", "1"), ("--frames", "5")])
async def test_a_part_of_a_clip_that_was_asked_for_is_no_failure(
    bound: tuple[str, str], tmp_path: Path
) -> None:
    """Though all of the clip had been sent by then."""
    clip, out = tmp_path / "clip", tmp_path / "out"
    clip.mkdir()
    folder_of(clip, 20)
    assert await restyled(TestcardBackend(), clip, out, "--size", "64x64", *bound) == 0
    assert 0 < len(list(out.glob("*.jpg"))) < 20


@pytest.mark.parametrize("blocks", [None, 1])
async def test_a_script_may_leave_a_clip_or_ask_for_a_part_of_it(
    blocks: int | None, tmp_path: Path
) -> None:
    """Of what was left early nothing is said to be missing."""
    source = await open_source(str(folder_of(tmp_path, 20)))
    async with serving() as worker, connect(worker.url) as session:
        await session.start(
            "a", webcam_mode=True, input="all", num_blocks=blocks, width=64, height=64,
            fmt="msgpack", events=True,
        )  # fmt: skip
        count = 0
        async with session.feed(source) as feeding:
            async for _ in feeding:
                count += 1
                if blocks is None and count == 5:
                    break
    assert 0 < count <= 6


async def test_fewer_frames_than_pictures_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batched steps keep back the last block; the result is saved, and the exit code says so."""
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 18))
    setup = ModelSetup(warm_sizes="64x64", options=EngineOptions(batch_steps=True))
    backend = servable_presets()["tiny-streamdiffusionv2"].make(setup)
    assert await restyled(backend, clip, out, "--size", "64x64") == 1
    assert "14 frames came for 18 pictures" in capsys.readouterr().err
    assert len(seen(out.read_bytes()).frames) == 14


async def test_the_command_itself_restyles_a_video(tmp_path: Path) -> None:
    """As a user runs it; the report counts the clip's frames."""
    (tmp_path / "clip.mp4").write_bytes(video([(200, 20, 20)] * 9, fps=10))
    async with serving(TestcardBackend()) as worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--url", worker.url,
            "--input", "clip.mp4", "--strength", "0.2", "--out", "out.mp4", "--json",
            "--size", "128x64", cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert json.loads(out)["frames"] == 9
    assert len(seen((tmp_path / "out.mp4").read_bytes()).frames) == 9
