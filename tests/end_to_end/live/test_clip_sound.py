"""A clip's sound in the files made from it: whole, and in place with the pictures."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.live.beeps import FPS, bright_times, clip_with_beeps, flashes, loud_times, offsets
from support.servers.worker_server import serving
from support.videos_as_shown import overwritten

from framewire.client.cli import _parser
from framewire.client.commands.stream import prepare, run_stream


async def made_from(clip: Path, *options: str) -> int:
    async with serving(codec_threads=1) as worker:
        found = _parser().parse_args(
            ["stream", "a fox", "--url", worker.url, "--seed", "3", "--strength", "0.01",
             "--size", "64x64", "--input", str(clip), "--json", *options]
        )  # fmt: skip
        return await run_stream(found, prepare(found))


async def test_a_clips_beeps_stay_with_its_flashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every container, to within a millisecond or so of where they were: nothing drifts."""
    clip, seconds = tmp_path / "clip.mp4", 15
    clip_with_beeps(clip, seconds)
    outs = [tmp_path / f"out{ending}" for ending in (".mp4", ".mkv", ".webm", ".mov")]
    options = [word for out in outs for word in ("--out", str(out))]
    assert await made_from(clip, *options) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["input"]["used"] == seconds * FPS
    expected = np.array([number / FPS for number in flashes(seconds)])
    for out in outs:
        bright, begins = bright_times(out)
        shown = np.array(bright)
        heard, end = loud_times(out)
        assert len(shown) == len(heard) == len(expected), out
        off = np.abs(shown - begins - expected).max(), np.abs(np.array(heard) - shown).max()
        print(f"{out.name}: pictures off by {off[0]:.4f} s, sound by {off[1]:.4f} s of them")
        assert off[0] < 0.5 / FPS
        assert off[1] < 0.5 / FPS, "half a frame, far below a block"
        assert abs(end - begins - seconds) < 0.05, "whole"


async def test_the_sound_of_damaged_pictures_is_left_out_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second of both; what follows is in place."""
    whole, clip, out = (tmp_path / name for name in ("whole.mp4", "clip.mp4", "out.mp4"))
    clip_with_beeps(whole, 8)
    clip.write_bytes(overwritten(whole.read_bytes(), *range(2 * FPS, 3 * FPS)))
    assert await made_from(clip, "--out", str(out)) == 0
    assert json.loads(capsys.readouterr().out)["input"]["used"] == 7 * FPS
    off, alone = offsets(out)
    assert (len(off), alone) == (len(flashes(8)) - 1, 0)
    assert max(map(abs, off)) < 0.5 / FPS


async def test_sound_is_dropped_or_left_out_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 2)
    out = tmp_path / "out.mp4"
    told = {
        ("--audio", "drop"): "its sound is left out",
        ("--fps", "12"): "its sound is left out, for --fps 12 plays it at another speed "
        "(say --input-fps 12)",
    }
    hls = tmp_path / "live" / "index.m3u8"
    for options, words in told.items():
        assert await made_from(clip, "--out", str(out), "--out", str(hls), *options) == 0
        assert words in capsys.readouterr().err
        for segment in (out, hls.with_name("index_00000.ts")):
            with av.open(io.BytesIO(segment.read_bytes())) as file:
                assert file.streams.video and not file.streams.audio
    gif = tmp_path / "out.gif"
    assert await made_from(clip, "--out", str(out), "--out", str(gif), "--input-fps", "12") == 0
    assert f"its sound does not go into {gif}" in capsys.readouterr().err
    with av.open(io.BytesIO(out.read_bytes())) as file:
        assert file.streams.audio


async def test_sound_ends_with_the_pictures(tmp_path: Path) -> None:
    """Of a stream that ends before its clip."""
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 4)
    async with asyncio.timeout(60):
        assert await made_from(clip, "--out", str(tmp_path / "out.mp4"), "--blocks", "2") == 0
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.streams.audio
        times = [frame.time for frame in file.decode(video=0)]
    assert abs(loud_times(tmp_path / "out.mp4")[1] - times[-1] - 1 / FPS) < 0.05
