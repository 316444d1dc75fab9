"""Sound with what is shown live, measured in what FFmpeg received: each beep with its flash."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
from support.live.beeps import FPS, clip_with_beeps, flashes, offsets
from support.live.senders import ffmpeg, sent_by, wait_for, wait_for_listener
from support.servers.ports import free_port
from support.servers.worker_server import serving

from framewire.client.cli import _parser
from framewire.client.commands.stream import prepare, run_stream

pytestmark = pytest.mark.timeout(300)
BLOCK = 12 / FPS
BURST = 2.5
"""Seconds of what some have kept and send at once, whose times overlap."""
KEY = "s3cret-key"
RECEIVED = ("-c", "copy", "-flush_packets", "1", "-f", "mpegts")
QUICK = ("-analyzeduration", "1000000", "-fflags", "nobuffer")


async def streamed(url: str, *options: str) -> None:
    """A stream that comes to its end."""
    found = _parser().parse_args(
        ["stream", "a fox", "--url", url, "--seed", "3", "--strength", "0.01", "--size", "64x64",
         "--fps", str(FPS), "--latency", "10", "--json", *options]
    )  # fmt: skip
    savers = await asyncio.to_thread(prepare, found)
    async with asyncio.timeout(100):
        assert await run_stream(found, savers) == 0


async def test_a_clips_sound_is_heard_with_its_pictures_at_every_live_sink(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of which is killed, opened again and goes on with sound: that of the pictures then."""
    clip, seconds = tmp_path / "clip.mp4", 14
    clip_with_beeps(clip, seconds, last=4)
    hls, files = tmp_path / "show" / "index.m3u8", {}
    rtmp = f"rtmp://127.0.0.1:{(port := free_port())}/live/{KEY}"
    udp = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    for kind in ("udp", "rtmp", "rtmp, again"):
        files[kind] = tmp_path / f"{kind}.ts"
    server = ("-listen", "1", "-i", rtmp, *RECEIVED)
    outs = ("--out", str(hls), "--out", rtmp, "--out", udp)
    async with serving(codec_threads=1) as worker:
        with ffmpeg(*QUICK, "-i", udp, *RECEIVED, str(files["udp"])):
            with ffmpeg(*QUICK, *server, str(files["rtmp"])):
                wait_for_listener(port)
                streaming = asyncio.create_task(streamed(worker.url, "--input", str(clip), *outs))
                await asyncio.to_thread(wait_for, lambda: pictures_in(files["rtmp"]) > 4 * FPS)
            with ffmpeg(*QUICK, *server, str(files["rtmp, again"])):
                await streaming
    tell(capsys)
    for kind, file in files.items():
        with av.open(str(file)) as received:
            assert [track.codec_context.name for track in received.streams.audio] == ["aac"]
        assert_together(kind, file, least=2)
    assert_together("hls", hls, least=len(flashes(seconds)))


async def test_what_is_live_is_heard_with_its_pictures_in_files_and_at_sinks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ("rtsp", "rtmp", "udp", "hls")
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 20, last=4)
    for kind in kinds:
        (tmp_path / kind).mkdir()

    async def from_one(kind: str, url: str) -> None:
        folder = tmp_path / kind
        outs = ("--out", f"{folder}/out.mp4", "--out", f"{folder}/index.m3u8")
        with sent_by(kind, clip, folder) as name:
            await streamed(url, "--input", name, "--blocks", "14", *outs)

    async with serving(codec_threads=1) as worker:
        await asyncio.gather(*(from_one(kind, worker.url) for kind in kinds))
    tell(capsys)
    for kind in kinds:
        for name in ("out.mp4", "index.m3u8"):
            assert_together(f"{kind} into {name}", tmp_path / kind / name, least=3, since=BURST)


async def test_a_pipe_is_heard_with_its_pictures_to_its_end(tmp_path: Path) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    clip_with_beeps(clip, 8, last=4)
    to = ("-re", "-i", str(clip), "-c", "copy", "-f", "matroska", "-")
    async with serving(codec_threads=1) as worker, asyncio.timeout(100):
        with ffmpeg(*to, stdout=subprocess.PIPE) as sender:
            assert sender.stdout is not None
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--input", "-"),
                *("--url", worker.url, "--strength", "0.01", "--size", "64x64", "--fps", str(FPS)),
                *("--out", str(out)),
                stdin=sender.stdout.fileno(),
                stdout=subprocess.DEVNULL,
            )
            assert await running.wait() == 0
    assert_together("pipe", out, least=3)


async def test_a_source_that_returns_is_heard_in_place_and_its_absence_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is away for three seconds, and its clock begins anew."""
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 20, last=4)

    async def from_one(kind: str, url: str) -> None:
        folder = tmp_path / kind
        port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        name = f"{kind}://127.0.0.1:{port}" + "/live/x" * (kind == "rtmp")
        to = ("-f", "flv", "-listen", "1", name) if kind == "rtmp" else ("-f", "mpegts", name)
        command = ("-re", "-i", str(clip), "-c", "copy", *to)
        outs = ("--out", f"{folder}/out.mp4", "--out", f"{folder}/index.m3u8")
        with contextlib.ExitStack() as running:
            sender = running.enter_context(ffmpeg(*command))
            if kind == "rtmp":
                wait_for_listener(port)
            streaming = asyncio.create_task(streamed(url, "--input", name, "--blocks", "22", *outs))
            there = folder / "index_00002.ts"
            await asyncio.to_thread(wait_for, there.exists)
            sender.kill()
            await asyncio.sleep(3)  # which is what it is about
            running.enter_context(ffmpeg(*command))
            await streaming

    async with serving(codec_threads=1) as worker:
        await asyncio.gather(*(from_one(kind, worker.url) for kind in ("rtmp", "udp")))
    tell(capsys)
    for kind in ("rtmp", "udp"):
        for name in ("out.mp4", "index.m3u8"):
            file = tmp_path / kind / name
            assert_together(f"{kind} into {name}", file, least=5, since=BURST, alone=4)


async def test_what_is_recorded_by_hand_has_its_sound(tmp_path: Path) -> None:
    """From the middle of a clip, and of what is live, though its sound was heard before."""
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 30, last=4)

    async def recorded(name: str, folder: Path, url: str) -> None:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--typing"),
            *("--url", url, "--strength", "0.01", "--size", "64x64", "--fps", str(FPS)),
            *("--input", name, "--out", "index.m3u8"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        assert running.stdin is not None
        for there, line in (
            ("index_00001.ts", "/record x.mp4"),
            ("index_00003.ts", "/record"),
            ("x.mp4", "/end"),
        ):
            await asyncio.to_thread(wait_for, (folder / there).exists)
            running.stdin.write(f"{line}\n".encode())
            await running.stdin.drain()
        assert await running.wait() == 0

    for kind in ("clip", "udp"):
        (tmp_path / kind).mkdir()
    async with serving(codec_threads=1) as worker, asyncio.timeout(100):
        with sent_by("udp", clip, tmp_path) as udp:
            await asyncio.gather(
                recorded(str(clip), tmp_path / "clip", worker.url),
                recorded(udp, tmp_path / "udp", worker.url),
            )
    for kind in ("clip", "udp"):
        assert_together(f"{kind}, recorded", tmp_path / kind / "x.mp4", least=2)


def test_a_source_that_is_too_slow_for_a_video_is_told_of(tmp_path: Path) -> None:
    """In which its pictures pass faster than its sound."""
    clip = tmp_path / "clip.mp4"
    clip_with_beeps(clip, 10)
    with sent_by("udp", clip, tmp_path) as name:
        words = ["stream", "a fox", "--input", name, "--fps", "48", "--out", "a.gif", "--out"]
        fast = (
            f"{name}: its 24 pictures a second are shown faster in a.mp4, without parts of its sound "
            "(say --fps 24)"
        )
        for out, is_said in (("a.mp4", True), ("a/index.m3u8", False)):
            found = _parser().parse_args([*words, out])
            prepare(found)
            found.clip.close()
            assert f"{name}: its sound does not go into a.gif" in found.said
            assert (fast in found.said) == is_said


def assert_together(
    what: str, file: Path, *, least: int, since: float = 0.0, alone: int = 2
) -> None:
    """Each flash has its beep, to within a block, but for those that an end or a gap may cut off."""
    found, missing = offsets(file, since)
    assert found, what
    print(f"{what}: {len(found)} beeps, {min(found):.3f} to {max(found):.3f} s after the flash")
    assert len(found) >= least and missing <= alone, (what, missing)
    assert max(map(abs, found)) < BLOCK


def pictures_in(file: Path) -> int:
    """Of what is being written."""
    if not file.exists() or not file.stat().st_size:
        return 0
    with contextlib.suppress(av.error.FFmpegError), av.open(str(file)) as received:
        return sum(packet.size > 0 for packet in received.demux(video=0))
    return 0


def tell(capsys: pytest.CaptureFixture[str]) -> None:
    for line in capsys.readouterr().out.splitlines():
        report: dict[str, Any] = json.loads(line)
        print(report["input"]["name"], report["input"]["latency_seconds"], report["live"])
