"""`framewire stream --input`: a clip in, a clip of the same length out, through real sockets."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.servers.worker_server import serving
from support.video_files_made import seen, video

from framewire.client.cli import _parser
from framewire.client.commands.stream import prepare, run_stream
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


async def test_a_live_model_gives_the_result_the_clips_size(tmp_path: Path) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    clip.write_bytes(video([(90, 30, 20)] * 6, size=(96, 64)))
    assert await restyled(backend_of("tiny-streamdiffusionv2"), clip, out) == 0
    result = seen(out.read_bytes())
    assert result.size == (96, 64)
    assert len(result.frames) == 6


async def test_a_clip_that_breaks_off_is_streamed_that_far_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The frames of what could be read are saved; the exit code says that it is not all."""
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (64, 128, 3)).astype(np.uint8) for _ in range(14)]
    folder, out = tmp_path / "clip", tmp_path / "out"
    folder.mkdir()
    for number in range(14):
        (folder / f"{number:02d}.png").write_bytes(_png(noisy[number]))
    (folder / "99.png").mkdir()
    code = await restyled(TestcardBackend(), folder, out, "--size", "128x64")
    assert code == 1
    assert len(list(out.glob("*.jpg"))) == 14
    assert "99.png: Is a directory" in capsys.readouterr().err


def _png(pixels: Any) -> bytes:
    import io

    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


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
