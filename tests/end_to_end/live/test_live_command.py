"""`framewire stream --input` as a command: a pipe to its end, Ctrl-C, a worker that goes away."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.live.numbered import number_in, numbered_clip
from support.live.senders import ffmpeg, wait_for
from support.servers.ports import free_port
from support.servers.worker_server import command, serving

from framewire.client.cli import _parser
from framewire.client.commands.stream import prepare, run_stream

pytestmark = pytest.mark.timeout(300)
STREAM = ("stream", "a fox", "--strength", "0.01", "--size", "192x96", "--out", "out/", "--json")


async def started(
    folder: Path, *options: str, stdin: int = subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """The command, into `folder/out/`."""
    return await asyncio.create_subprocess_exec(
        *("env", "--default-signal=INT", sys.executable, "-m", "framewire.client.cli"),
        *STREAM,
        *options,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    )


def frames_in(folder: Path) -> list[Path]:
    return sorted((folder / "out").glob("*.jpg"))


async def test_a_pipe_is_streamed_to_its_end(tmp_path: Path) -> None:
    """And the command ends with it, all that came of it saved, in order, none twice."""
    clip = numbered_clip(tmp_path, 40)
    to = ("-re", "-i", str(clip), "-c", "copy", "-f", "mpegts", "-")
    async with serving(codec_threads=1, input_patience=60) as worker, asyncio.timeout(100):
        with ffmpeg(*to, stdout=subprocess.PIPE) as sender:
            assert sender.stdout is not None
            options = ("--url", worker.url, "--input", "-", "--fps", "25")
            running = await started(tmp_path, *options, stdin=sender.stdout.fileno())
            out, err = await running.communicate()
    assert running.returncode == 0, err
    report = json.loads(out)
    numbers = [number_in(path.read_bytes()) for path in frames_in(tmp_path)]
    assert report["input"]["name"] == "standard input"
    assert report["input"]["of"] == 40
    made_of_all = sorted(set(numbers))
    assert numbers == sorted(numbers)
    assert made_of_all[-1] == 39, "the newest picture is among them"
    assert len(numbers) - len(made_of_all) <= 12, "but for the padding of the last block"


@pytest.mark.parametrize("source", ["testsrc", "-"])
async def test_ctrl_c_ends_a_live_stream_at_once_with_its_report(
    source: str, tmp_path: Path
) -> None:
    """No thread that reads holds the command up, not even at a pipe on which nothing comes."""
    to = ("-i", str(numbered_clip(tmp_path, 40)), "-c", "copy", "-f", "mpegts", "-")
    async with serving(codec_threads=1) as worker, asyncio.timeout(60):
        with ffmpeg(*to, stdout=subprocess.PIPE) as sender:
            begin, _ = await asyncio.to_thread(sender.communicate)
        options = ("--url", worker.url, "--input", source)
        running = await started(tmp_path, *options, stdin=subprocess.PIPE)
        assert running.stdin is not None
        if source == "-":
            running.stdin.write(begin)
        await asyncio.to_thread(wait_for, lambda: frames_in(tmp_path))
        asked_at = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.stdout is not None and running.stderr is not None
        out, err = await running.stdout.read(), await running.stderr.read()
        assert await running.wait() == 130, err
    print(f"{source}: ended {time.monotonic() - asked_at:.2f} s after Ctrl-C")
    report = json.loads(out)
    assert report["interrupted"]
    assert 0 < report["input"]["used"] <= report["input"]["of"]
    assert "Traceback" not in err.decode()


async def test_ctrl_c_is_heard_while_a_source_is_waited_for(tmp_path: Path) -> None:
    """One that takes the connection and says nothing."""
    came = asyncio.Event()
    done = asyncio.Event()

    async def stay_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await done.wait()
        writer.close()

    async with (
        asyncio.timeout(60),
        await asyncio.start_server(stay_silent, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        running = await started(tmp_path, "--input", f"rtsp://127.0.0.1:{port}/x")
        await came.wait()
        running.send_signal(signal.SIGINT)
        out, err = await running.communicate()
        done.set()
    assert (running.returncode, out, err) == (130, b"", b"")


async def test_a_live_stream_goes_on_over_another_connection(tmp_path: Path) -> None:
    """What is live has lost nothing with the one that is gone, as a clip would have."""
    out = tmp_path / "out"
    place = ("--port", str(free_port()))
    async with asyncio.timeout(200):
        async with command(*place) as first:
            options = _parser().parse_args(
                [*STREAM, "--out", f"{out}/", "--url", first.url, "--input", "testsrc",
                 "--fps", "24", "--blocks", "4"]
            )  # fmt: skip
            options.out = [f"{out}/"]
            savers = await asyncio.to_thread(prepare, options)
            streaming = asyncio.create_task(run_stream(options, savers))
            await asyncio.to_thread(wait_for, lambda: frames_in(tmp_path))
            first.signal(signal.SIGKILL)
            await first.exit_code()
        async with command(*place):
            assert await streaming == 0
    assert len(frames_in(tmp_path)) == 4 * 12 - 6


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_five_minutes_of_a_stream_with_sound_leave_memory_flat(tmp_path: Path) -> None:
    """Of the command that reads it, pictures being sent all the while."""
    clip = numbered_clip(tmp_path, 500)
    port = free_port(socket.SOCK_DGRAM)
    place = f"udp://127.0.0.1:{port}"
    to = ("-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-f", "mpegts")
    async with serving(codec_threads=1) as worker, asyncio.timeout(500):
        with ffmpeg(*to, f"{place}?pkt_size=1316"):
            options = ("--url", worker.url, "--input", place, "--out", "/dev/null")
            running = await started(tmp_path, *options)
            await asyncio.to_thread(wait_for, lambda: len(frames_in(tmp_path)) > 200)
            before = resident(running.pid)
            await asyncio.sleep(300)
            after = resident(running.pid)
            running.send_signal(signal.SIGINT)
            assert running.stdout is not None
            report = json.loads(await running.stdout.read())
            await running.wait()
    print(f"{before / 1e6:.0f} MB, then {after / 1e6:.0f}; latency {report['input']}")
    assert after - before < 10_000_000
    assert report["input"]["used"] > 4000
