"""Steering by lines from a pipe: `--typing` where no person types."""

import asyncio
import contextlib
import hashlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from support.live.numbered import numbered_clip
from support.servers.ports import free_port
from support.servers.worker_server import Command, command
from support.timelines.streamed import streamed

from framewire.client.cli import main

SECRET = "s3cr3t-Passw0rd"


@pytest.fixture
def hurry(tmp_path: Path) -> Path:
    """Once it is there, a slow worker's blocks take no time any more."""
    return tmp_path / "hurry"


def slow_worker(hurry: Path, *options: str) -> AbstractAsyncContextManager[Command]:
    """With time to type while it streams."""
    seconds = {"FRAMEWIRE_TEST_BLOCK": "0.1", "FRAMEWIRE_TEST_HURRY": str(hurry)}
    return command(*options, slow=True, **seconds)  # type: ignore[arg-type]


@pytest.fixture
async def worker(hurry: Path) -> AsyncIterator[Command]:
    async with slow_worker(hurry) as running:
        yield running


class Piped:
    """The command, with its standard input and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def line(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        await self.process.stdin.drain()

    async def until(self, text: str) -> None:
        assert self.process.stderr is not None
        while text not in self.said:
            try:
                line = await asyncio.wait_for(self.process.stderr.readline(), 60)
            except TimeoutError:
                line = b""
            assert line, f"{text!r} was not said: {self.said}"
            self.said += line.decode()

    async def report(self) -> dict[str, object]:
        out, err = await asyncio.wait_for(self.process.communicate(), 60)
        self.said += err.decode()
        found: dict[str, object] = json.loads(out)
        return found


@contextlib.asynccontextmanager
async def piped(folder: Path, url: str, *options: str) -> AsyncIterator[Piped]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--typing", "--json"),
        *("--url", url, "--size", "64x64", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    try:
        yield Piped(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_program_steers_by_lines_and_the_end_of_them_ends_nothing(
    worker: Command, hurry: Path, tmp_path: Path
) -> None:
    async with piped(tmp_path, worker.url, "--blocks", "200", "--out", "out/") as running:
        await running.line("a red robot")
        await running.until("“a red robot”: shown after")
        await running.line("a red robot")
        await running.until("that is the prompt already")
        await running.line("/lora gold=0.5")
        await running.until("/lora gold: this worker has no such adapter, none that a stream can")
        await running.line("/strength 0.5")
        await running.until("how far frames may leave the input, and there is none")
        await asyncio.to_thread(hurry.touch)
        report = await running.report()
    assert running.process.returncode == 0
    assert report["prompts"] == ["a fox", "a red robot"]
    assert report["frames"] == 200 * 12 - 6
    steers = report["steers"]
    assert isinstance(steers, list) and steers[0]["seconds"] > 0


async def test_what_is_there_is_never_replaced_and_no_password_is_said(
    worker: Command, tmp_path: Path
) -> None:
    (tmp_path / "x.mp4").write_bytes(b"mine")
    (tmp_path / "x.json").write_text("mine")
    options = ("--blocks", "100000", "--save-timeline", "kept.json")
    async with piped(tmp_path, worker.url, *options) as running:
        for line, said in (
            ("/record x.mp4", "x.mp4 is there already"),
            ("/record", "nothing is being recorded"),
            ("/record -", "/record writes files"),
            ("/record x.exe", "no saver for '.exe' files"),
            (f"/record rtmp://joe:{SECRET}@h/app/{SECRET}", "rtmp://…@h/app/…: /record writes"),
            (f"/record http://joe:{SECRET}@h/x.mp4", "http://…@h/x.mp4: /record writes files"),
            ("a robot", "“a robot”: shown after"),
            ("/save x.json", "x.json is there already"),
            ("/save kept.json", "kept.json is what --save-timeline writes at the end"),
            (f"/save http://joe:{SECRET}@h/x.json", "http://…@h/x.json: /save writes files"),
            ("/record new.mp4", "recording new.mp4"),
            ("/record other.mp4", "new.mp4 is being recorded"),
        ):
            await running.line(line)
            await running.until(said)
        with pytest.raises(FileExistsError):  # as whoever else makes a file of that name
            (tmp_path / "new.mp4").touch(exist_ok=False)
        await running.line("/end")
        report = await running.report()
    assert (tmp_path / "x.mp4").read_bytes() == b"mine"
    assert (tmp_path / "x.json").read_text() == "mine"
    assert report["files"] == ["new.mp4"]
    assert SECRET not in running.said + json.dumps(report)


async def test_a_clip_is_steered_and_kept_and_not_started_over(
    worker: Command, hurry: Path, tmp_path: Path
) -> None:
    clip = numbered_clip(tmp_path, 2000)
    options = ("--input", str(clip), "--strength", "0.5", "--out", "out/")
    async with piped(tmp_path, worker.url, *options) as running:
        await running.line("/strength 0.2")
        await running.until("strength 0.2: shown after")
        await running.line("/reset")
        await running.until("/reset: a clip is shown once")
        await running.line("/save kept.json")
        await running.until("kept kept.json")
        await asyncio.to_thread(hurry.touch)
        report = await running.report()
    assert running.process.returncode == 0
    assert report["frames"] == 2000
    kept = json.loads((tmp_path / "kept.json").read_text())["framewire"]
    assert kept["clip"]["name"] == clip.name
    assert kept["pieces"][0]["steers"][0]["strength"] == 0.2


@pytest.mark.parametrize("source", ["testsrc", "clip"])
async def test_the_end_of_an_input_can_be_typed(
    source: str, worker: Command, tmp_path: Path
) -> None:
    """What was sent by then is shown, and nothing is sent that would be refused."""
    name = source if source == "testsrc" else str(numbered_clip(tmp_path, 2000))
    options = ("--input", name, "--strength", "0.5", "--out", "out/")
    async with piped(tmp_path, worker.url, *options) as running:
        await running.line("a robot")
        await running.until("“a robot”: shown after")
        await running.line("/end")
        await running.until("ending with the pictures that were sent")
        report = await running.report()
    assert running.process.returncode == 0, running.said
    fed = report["input"]
    assert isinstance(fed, dict) and fed["left_out"] == []
    if source == "clip":
        assert report["frames"] == fed["used"] == fed["of"] < 2000


async def test_what_is_typed_while_the_connection_is_lost_is_in_force_on_the_next_one(
    hurry: Path, tmp_path: Path
) -> None:
    """And the time to the frame that shows it counts from when it was typed."""
    place = ("--port", str(free_port()))
    async with slow_worker(hurry, *place) as first:
        options = ("--blocks", "200", "--seed", "1", "--save-timeline", "kept.json")
        async with piped(tmp_path, first.url, *options, "--out", "out/") as running:
            await running.line("a robot")
            await running.until("“a robot”: shown after")
            first.signal(signal.SIGKILL)
            await first.exit_code()
            await running.until("attempt 1 to reconnect")
            await running.line("a blue owl")
            async with slow_worker(hurry, *place) as again:
                await running.until("“a blue owl”: shown after")
                await asyncio.to_thread(hurry.touch)
                report = await running.report()
                assert running.process.returncode == 0
                assert report["frames"] == 200 * 12 - 6
                frames = sorted((tmp_path / "out").glob("*.jpg"))
                first_run = [hashlib.sha256(one.read_bytes()).hexdigest() for one in frames]
                played = await streamed(tmp_path, "--timeline", "kept.json", url=again.url)
    assert played.frames == first_run


async def test_a_reset_that_would_drop_what_is_planned_is_refused(
    worker: Command, tmp_path: Path
) -> None:
    options = ("--blocks", "100000", "--steer", "90000b=an owl")
    async with piped(tmp_path, worker.url, *options) as running:
        await running.line("a robot")
        await running.until("“a robot”: shown after")
        await running.line("/seed 5")
        await running.until("/seed: changes are planned, which a reset would drop")
        await running.line("/end")
        await running.report()
    assert running.process.returncode == 0


def test_standard_input_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the input or by the lines."""
    assert main(["stream", "a fox", "--input", "-", "--typing"]) == 2
    assert "--typing and --input -: standard input can be read once" in capsys.readouterr().err
