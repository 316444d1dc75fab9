"""What the command writes, on terminals and streams of every kind: real ones, where it matters."""

import asyncio
import fcntl
import io
import json
import os
import pty
import struct
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.servers.stand_in import Peer, stand_in
from support.servers.worker_server import Running, serving

from framewire.client import Frame
from framewire.client.commands.progress import ProgressLine, Tally
from framewire.client.commands.terminal import fitted, one_line, print_json, printable, width
from framewire.protocol import Ready

WIDE = {"狐": 2, "雪": 2, "🦊": 2, "\u0301": 0, "\u200d": 0}
PROMPTS = [
    "a red fox runs through the snow at dawn and on",
    "狐雪" * 30,
    "🦊" * 60,
    "e\u0301" * 60,
    "two\nlines\rand\ttabs\x1b[31m and\x9b31m more of them, on and on and on",
]


class Screen:
    """A terminal of `columns`, as far as it takes to see where the cursor goes.

    Attributes:
        rows: of text that stays; a row that was wrapped is more than one.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self._column = 0

    def feed(self, text: str) -> None:
        for part in text.replace("\x1b[2K", "\x00").replace("\r\n", "\n"):
            if part == "\x00":
                self.rows[-1] = ""
            elif part == "\r":
                self._column = 0
            elif part == "\n":
                self._next()
            else:
                assert part.isprintable() or part in WIDE, f"a terminal was sent {part!r}"
                wide = WIDE.get(part, 1)
                if self._column + wide > self.columns:
                    self._next()
                self.rows[-1] += part
                self._column += wide

    def _next(self) -> None:
        self.rows.append("")
        self._column = 0


def terminal(columns: int | None) -> tuple[int, int]:
    """Both ends of one, ours first."""
    ours, theirs = pty.openpty()
    if columns is not None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


async def streamed(worker: Running, *options: str, **environment: str) -> tuple[int, str]:
    """The command with a terminal for its standard error: exit code, and what that was sent."""
    ours, theirs = terminal(50)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", "stream", *options),
        *("--url", worker.url),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=theirs,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path)), "TERM": "xterm"}
        | {"PYTHONIOENCODING": "utf-8"}
        | environment,
    )
    os.close(theirs)
    sent = await asyncio.wait_for(asyncio.to_thread(_read, ours), 60)
    return await process.wait(), sent.decode()


def _read(terminal: int) -> bytes:
    sent = b""
    try:
        while data := os.read(terminal, 65536):
            sent += data
    except OSError:  # how Linux says that nobody holds the other end
        pass
    os.close(terminal)
    return sent


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("columns", [80, 50, 7, None])
def test_progress_keeps_to_one_row(
    prompt: str, columns: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in the prompt, as wide as its letters are drawn; None: of no known width."""
    monkeypatch.setattr("framewire.client.commands.progress._REDRAW", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = terminal(columns)
    tally = Tally(prompts=[prompt])
    with (
        ThreadPoolExecutor(1) as beside,
        os.fdopen(theirs, "w", encoding="utf-8") as stream,
    ):
        reading = beside.submit(_read, ours)
        line = ProgressLine(tally, stream)
        for index in range(20):
            line.draw(prompt)
            tally.saw_frame(Frame(index, None, b"12345", 0.0))
        line.draw(prompt)
        stream.close()
        sent = reading.result(60).decode()
    screen = Screen(columns or 80)
    screen.feed(sent)
    assert sent.count("\r\x1b[2K") == 21
    (row,) = screen.rows
    assert row.startswith("20 fra"[: (columns or 80) - 2])


async def test_the_command_keeps_its_progress_to_one_row() -> None:
    async with serving() as worker:
        code, sent = await streamed(worker, "狐雪 runs " * 30, "--blocks", "30")
    assert code == 0
    assert "frames" in sent
    screen = Screen(50)
    screen.feed(sent)
    assert screen.rows == [""]


async def test_a_dumb_terminal_gets_plain_lines() -> None:
    """Editors' shells show carriage returns and escapes as they are."""
    async with serving() as worker:
        code, sent = await streamed(worker, "a fox", "--blocks", "20", TERM="dumb")
    assert (code, sent) == (0, "")


async def run(*options: str, **environment: str) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))} | environment,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out, err


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1:strict", "utf-8"])
async def test_what_cannot_be_encoded_ends_no_run(encoding: str, tmp_path: Path) -> None:
    """The report is printed, with escapes where it must be; and JSON stays JSON."""
    async with serving() as worker:
        stream = ("stream", "renard 🦊", "--url", worker.url, "--blocks", "3", "--size", "64x64")
        steer = ("--steer", "1b=赤い円 é", "--out", str(tmp_path / "画.mp4"))
        environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        code, out, err = await run(*stream, *steer, **environment)
        as_json, told, _ = await run(*stream, *steer, "--json", **environment)
    text = out.decode(encoding.partition(":")[0])
    assert code == as_json == 0, err
    assert "18" in text or "30" in text
    assert ("赤い円" if encoding == "utf-8" else r"\u8d64\u3044\u5186") in text
    found = json.loads(told.decode(encoding.partition(":")[0]))
    assert found["prompts"] == ["renard 🦊", "赤い円 é"]
    assert found["files"] == [str(tmp_path / "画.mp4")]


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", [("stream", "a fox"), ("doctor",), ("check", "--rule", "1.1")])
async def test_what_a_server_says_controls_no_terminal(
    command: tuple[str, ...], form: tuple[str, ...]
) -> None:
    """Escapes would paint it over, line breaks would add lines that we never said."""

    async def says(peer: Peer) -> None:
        reason = "\\u001b[2Jgone\\n0 FAIL\\u009b1m\\u202e\\u007f\\u2028\\u2066\\ud800"
        await peer.say(Ready())
        await peer.hear()
        await peer.socket.send(
            f'{{"type":"x-fal-error","error":"INTERNAL_ERROR\\u001b[0m","reason":"{reason}"}}'
        )
        await peer.socket.close(1011, "\x1b[2Jbye")

    async with stand_in(says) as server:
        code, out, err = await run(*command, *form, "--url", server.url, PYTHONIOENCODING="utf-8")
    said = (out + err).decode()
    assert code == (0 if command[0] == "check" else 1)
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert "\n0 FAIL" not in said


async def test_the_workers_command_takes_any_stream_too() -> None:
    """What it prints after `main` has begun is escaped, not an error."""
    program = "from framewire.worker.cli import main; main(['models']); print('狐')"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))}
        | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.endswith(rb"\u72d0" + b"\n")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("fox", 3),
        ("狐", 2),
        ("🦊", 2),
        ("e\u0301", 1),
        ("👩\u200d🚀", 4),
        ("❤\ufe0f", 2),
        ("🇩🇪", 4),
    ],
)
def test_width_is_what_a_terminal_takes_at_most(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "room", "encoding", "cut"),
    [
        ("a red fox", 9, "utf-8", "a red fox"),
        ("a red fox", 8, "utf-8", "a red f…"),
        ("狐狐狐", 5, "utf-8", "狐狐…"),
        ("狐狐狐", 4, "utf-8", "狐…"),
        ("a red fox", 8, "ascii", "a red..."),
        ("é", 4, "ascii", r"\xe9"),
        ("a\nb", 3, "utf-8", "a b"),
        ("fox", 0, "utf-8", ""),
        ("fox", 1, "utf-8", "…"),
    ],
)
def test_text_is_cut_to_the_room_there_is(text: str, room: int, encoding: str, cut: str) -> None:
    assert fitted(text, room, encoding) == cut


def test_lines_of_others_are_made_clean() -> None:
    assert one_line("a\nb\x1b[2Jc\u2028d\u202ee") == r"a b\u001b[2Jc d\u202ee"
    assert printable("first\nsecond\x07") == "first\n  second\\u0007"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "utf-16"])
def test_json_is_whole_in_every_encoding(encoding: str) -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding=encoding, errors="backslashreplace")
    print_json({"prompt": "狐 é 🦊 \udcff"}, stream)
    stream.flush()
    assert json.loads(data.getvalue().decode(encoding)) == {"prompt": "狐 é 🦊 \udcff"}
