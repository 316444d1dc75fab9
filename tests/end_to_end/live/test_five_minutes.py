"""Five minutes of what is live, and of a clip, into sinks and files: memory stays, all is in place."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from support.live.beeps import FPS as BEEPS_FPS
from support.live.beeps import bright_times, clip_with_beeps, flashes, loud_times, offsets
from support.live.numbered import FPS, number_in, numbered_clip
from support.live.senders import ffmpeg, wait_for
from support.servers.ports import free_port
from support.servers.worker_server import serving

MEGABYTE = 1_000_000


def family(pid: int) -> list[int]:
    """A process and those that it started, at any remove."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold."""
    total = 0
    for one in family(pid):
        lines = Path(f"/proc/{one}/status").read_text().splitlines()
        total += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_five_minutes_into_sinks_and_a_file_leave_memory_flat(tmp_path: Path) -> None:
    """Of the command and its sinks' processes, with sound. HLS keeps every segment and ends with ENDLIST, and no
    frame is lost in the file, nor shown twice by a sink but by its clock's rule."""
    clip = numbered_clip(tmp_path, 500)
    port, to = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    place = f"udp://127.0.0.1:{port}"
    sent = ("-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-f", "mpegts")
    async with serving(codec_threads=1) as worker, asyncio.timeout(500):
        with ffmpeg(*sent, f"{place}?pkt_size=1316"):
            running = await asyncio.create_subprocess_exec(
                *("env", "--default-signal=INT", sys.executable, "-m", "framewire.client.cli"),
                *("stream", "a fox", "--strength", "0.01", "--size", "192x96", "--json"),
                *("--url", worker.url, "--input", place, "--fps", str(FPS), "--latency", "10"),
                *("--out", "out/", "--out", "live/index.m3u8", "--out", f"udp://127.0.0.1:{to}"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                cwd=tmp_path,
            )
            out = tmp_path / "out"
            await asyncio.to_thread(wait_for, lambda: (out / "frame_000400.jpg").exists())
            before = resident(running.pid)
            await asyncio.sleep(300)  # which is what it is about
            after = resident(running.pid)
            running.send_signal(signal.SIGINT)
            assert running.stdout is not None
            report = json.loads(await running.stdout.read())
            await running.wait()
    print(f"{before / 1e6:.0f} MB, then {after / 1e6:.0f}; {report['live']}; {report['input']}")
    assert after - before < 20 * MEGABYTE
    files = sorted(out.glob("frame_*.jpg"))
    assert len(files) == report["frames"] > 4000
    for sink in report["live"]:
        assert (sink["openings"], sink["error"]) == (1, None)
        assert sink["frames"] + sink["left_out"] == report["frames"]
        assert sink["left_out"] == 0
    numbers = [number_in(file.read_bytes()) for file in files]
    steps = [(later - earlier) % 500 for earlier, later in pairwise(numbers)]
    assert all(step < 250 for step in steps), "in the order of the source"
    playlist = (tmp_path / "live" / "index.m3u8").read_text()
    segments = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    assert playlist.rstrip().endswith("#EXT-X-ENDLIST")
    assert len(segments) > 140 and all((tmp_path / "live" / name).exists() for name in segments)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_five_minutes_of_a_clip_at_its_own_pace_keep_its_sound_whole_and_in_place(
    tmp_path: Path,
) -> None:
    """In the file to within half a frame, in what is shown live to within a block; memory is flat from
    the first minute on."""
    clip, seconds = tmp_path / "clip.mp4", 300
    await asyncio.to_thread(clip_with_beeps, clip, seconds, last=4)
    udp = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    out, hls, received = tmp_path / "out.mp4", tmp_path / "index.m3u8", tmp_path / "udp.ts"
    sizes: list[int] = []
    async with serving(codec_threads=1) as worker, asyncio.timeout(500):
        quick = ("-analyzeduration", "1000000")
        with ffmpeg(*quick, "-i", udp, "-c", "copy", "-f", "mpegts", str(received)):
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--json"),
                *("--strength", "0.01", "--size", "64x64", "--url", worker.url, "--latency", "10"),
                *("--input", str(clip), "--out", str(out), "--out", str(hls), "--out", udp),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            assert running.stdout is not None
            reading = asyncio.create_task(running.stdout.read())
            while not reading.done():
                with contextlib.suppress(OSError, StopIteration):  # it has just ended
                    sizes.append(resident(running.pid))
                await asyncio.wait([reading], timeout=1)
            report = json.loads(await reading)
            assert await running.wait() == 0
    assert report["frames"] == seconds * BEEPS_FPS and len(sizes) > seconds - 10
    first, last = (sorted(part)[5] for part in (sizes[60:71], sizes[-15:-4]))
    print(f"{first / 1e6:.1f} MB after a minute, {last / 1e6:.1f} MB at the end; {report['live']}")
    print(f"each half minute: {[round(size / 1e6, 1) for size in sizes[::30]]} MB")
    (bright, begins), (loud, ends) = bright_times(out), loud_times(out)
    assert len(bright) == len(loud) == len(flashes(seconds))
    apart = max(abs(beep - flash) for beep, flash in zip(loud, bright, strict=True))
    print(f"file: {len(loud)} beeps, at most {apart:.4f} s from their flashes")
    assert apart < 0.5 / BEEPS_FPS and abs(ends - begins - seconds) < 0.05
    for file, unseen in ((hls, 0), (received, 10)):  # while the other side finds out what it is
        found, alone = offsets(file)
        print(f"{file.name}: {len(found)} beeps, {min(found):.3f} to {max(found):.3f} s after")
        assert alone <= 2 and len(found) >= len(flashes(seconds)) - unseen
        assert max(map(abs, found)) < 12 / BEEPS_FPS
    assert last - first < 10 * MEGABYTE
