"""Steering at a prompt: tmux types into the real command, and the screen is looked at."""

import asyncio
import hashlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.live.tmux import PATIENCE, Terminal, terminal
from support.servers.stand_in import Peer, stand_in
from support.servers.worker_server import Command, command
from support.timelines.streamed import streamed

from framewire.protocol import Ready

pytest.importorskip("prompt_toolkit")
pytestmark = pytest.mark.timeout(300)
HINT = "type a prompt to steer, /help for more"


@pytest.fixture
async def worker() -> AsyncIterator[Command]:
    """A test card with blocks of 0.1 s."""
    async with command(slow=True, FRAMEWIRE_TEST_BLOCK="0.1") as running:
        yield running


@contextmanager
def stream(folder: Path, url: str, *options: str) -> Iterator[Terminal]:
    """The command in a terminal, without an end of its own."""
    program = (sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--url", url)
    size = ("--size", "64x64", "--blocks", "100000")
    with terminal(folder, *program, *size, *options) as screen:
        yield screen


def rows(screen: Terminal) -> list[str]:
    """That hold anything."""
    return [row for row in screen.screen().splitlines() if row]


def hashes(folder: Path) -> list[str]:
    files = sorted(folder.glob("frame_*.jpg"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


async def test_all_that_is_typed_steers_and_is_made_again(worker: Command, tmp_path: Path) -> None:
    """By the timeline that is saved: prompts, a seed and a reset, to the last byte."""

    def typed() -> str:
        options = ("--seed", "3", "--out", "out/", "--save-timeline", "kept.json")
        with stream(tmp_path, worker.url, *options) as screen:
            screen.until(HINT, "“a fox”")
            screen.line("a red robot")
            screen.until("“a red robot”: shown after")
            screen.line("/seed 5")
            screen.until("seed 5: shown after")
            screen.line("a blue robot")
            screen.until("“a blue robot”: shown after")
            screen.line("/save half.json")
            screen.until("kept half.json (")
            screen.line("/reset")
            screen.until("reset: shown after")
            screen.line("/end")
            return screen.until("code 0", "play it with --timeline")

    said = await asyncio.to_thread(typed)
    assert re.search(r"“a red robot”: shown after \d+\.\d\d s, from block \d+ on", said)
    first = hashes(tmp_path / "out")
    again = await streamed(tmp_path, "--timeline", "kept.json", url=worker.url)
    assert again.frames == first
    half = await streamed(tmp_path, "--timeline", "half.json", url=worker.url)
    assert 0 < len(half.frames) < len(first)
    assert half.frames == first[: len(half.frames)]
    pieces = json.loads((tmp_path / "kept.json").read_text())["framewire"]["pieces"]
    assert [piece["params"]["seed"] for piece in pieces] == [3, 5, 5]


async def test_what_is_said_stands_above_the_line_that_is_being_typed(
    worker: Command, tmp_path: Path
) -> None:
    """Old lines come back with the arrow keys, and another size of the terminal breaks nothing."""

    def typed() -> None:
        with stream(tmp_path, worker.url, "--out", "a.mp4") as screen:
            screen.until(HINT, "“a fox”")
            for line in ("a red robot", "/strength 7", "/record x.mp4"):
                screen.line(line)
            screen.until("recording x.mp4", "/strength 7: a number from 0 to 1")
            screen.until("“a red robot”: shown after")
            screen.type("-l", "half a li")
            screen.until("> half a li")
            progress, prompt = rows(screen)[-2:]
            assert re.match(r"\d+ frames .*“a red robot”$", progress), screen.screen()
            assert prompt == "> half a li"
            screen.resize(40, 20)
            screen.until("> half a li")
            for row in rows(screen)[-2:]:
                assert len(row) <= 40
            screen.type("C-u", "Up")
            screen.until("> /record x.mp4")
            screen.type("Up", "Up")
            screen.until("> a red robot")
            screen.type("C-u")
            screen.line("/record")
            screen.until("saved x.mp4 (")
            screen.line("/record x.mp4")
            screen.until("x.mp4 is there already; type another name")
            screen.line("/record a.mp4")
            screen.until("a.mp4, which is written already, and /record a.mp4")
            screen.type("C-c")
            said = screen.until("code 130", "interrupted; what had arrived was saved")
            assert "Traceback" not in said
            assert said.count("saved x.mp4 (") == 2, "when it was, and in the report"

    await asyncio.to_thread(typed)


async def test_ctrl_d_ends_the_typing_and_not_the_stream(worker: Command, tmp_path: Path) -> None:
    """The terminal is as it was before, and Ctrl-C ends the stream as ever."""

    def typed() -> None:
        with stream(tmp_path, worker.url, "--out", "a.mp4") as screen:
            screen.until(HINT, "“a fox”")
            screen.type("C-d")
            screen.until("no more is read; the stream goes on, Ctrl-C ends it")
            before = rows(screen)[-1]
            deadline = time.monotonic() + PATIENCE
            while rows(screen)[-1] == before:
                assert time.monotonic() < deadline, screen.screen()
            screen.type("C-c")
            screen.until("code 130", "saved a.mp4")

    await asyncio.to_thread(typed)


async def test_a_password_that_is_typed_is_not_on_the_screen_and_not_in_the_old_lines(
    worker: Command, tmp_path: Path
) -> None:
    def typed() -> None:
        with stream(tmp_path, worker.url, "--out", "a.mp4") as screen:
            screen.until(HINT, "“a fox”")
            screen.line("/record rtmp://joe:s3cr3t@127.0.0.1/app/s3cr3t")
            screen.until("rtmp://…@127.0.0.1/app/…: /record writes files")
            screen.line("rtsp://joe:s3cr3t@127.0.0.1/x")
            screen.until("an address is no prompt")
            screen.type("Up")
            screen.until("> rtsp://…@127.0.0.1/x")
            screen.type("Up")
            screen.until("> /record rtmp://…@127.0.0.1/app/…")
            screen.type("C-c")
            assert "s3cr3t" not in screen.until("code 130")

    await asyncio.to_thread(typed)


async def test_what_a_server_says_controls_no_terminal(tmp_path: Path) -> None:
    """It stands above the prompt, in words."""

    async def says(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.socket.send('{"type":"warning","reason":"\\u001b[2Jgone\\nframewire: fine"}')
        await peer.hear()

    async with stand_in(says) as server:

        def looked_at() -> None:
            with stream(tmp_path, server.url, "--no-reconnect") as screen:
                screen.until(HINT, r"framewire: warning: \u001b[2Jgone")
                assert "\nframewire: fine" not in screen.all_said()
                screen.type("C-c")
                screen.until("code 130")

        await asyncio.to_thread(looked_at)


async def test_without_prompt_toolkit_lines_are_read_where_that_is_asked_for(
    worker: Command, tmp_path: Path
) -> None:
    """Else the terminal is as it was, and one line says what to install."""
    program = (
        "import sys; sys.modules['prompt_toolkit'] = None\n"
        "from framewire.client.cli import main; sys.exit(main())"
    )
    run = (sys.executable, "-c", program, "stream", "a fox", "--url", worker.url)
    long = (*run, "--size", "64x64", "--blocks", "100000", "--out", "a.mp4")

    def looked_at() -> None:
        with terminal(tmp_path, *long) as screen:
            screen.until("for a prompt to steer at: pip install 'framewire[terminal]'", " fps ")
            screen.type("C-c")
            screen.until("code 130")
        with terminal(tmp_path, *long, "--typing") as screen:
            screen.until("pip install 'framewire[terminal]'")
            screen.line("a red robot")
            screen.until("“a red robot”: shown after")
            screen.line("/end")
            screen.until("code 0")

    await asyncio.to_thread(looked_at)


async def test_a_job_in_the_background_reads_nothing_and_is_not_stopped(
    worker: Command, tmp_path: Path
) -> None:
    program = f"{sys.executable} -m framewire.client.cli stream fox --url {worker.url}"
    job = f"{program} --size 64x64 --blocks 4 --out a.mp4 & wait $!; echo job $?"

    def looked_at() -> None:
        with terminal(tmp_path, "bash", "-m", "-c", job) as screen:
            assert HINT not in screen.until("saved a.mp4 (42 frames", "job 0")

    await asyncio.to_thread(looked_at)
