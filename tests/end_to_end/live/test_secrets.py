"""What is secret in an address is in nothing that the command says: neither for people nor in JSON,
whatever goes wrong with it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers.ports import free_port
from support.servers.worker_server import serving

SECRET = "hunter2"
PLACE = f"joe:{SECRET}@127.0.0.1"
FRAMEWIRE = (sys.executable, "-X", "dev", "-W", "ignore", "-m", "framewire.client.cli")
LOGGING = (  # all that FFmpeg says goes to Python's log, and all of that to stderr
    "import logging, sys, av, av.logging\n"
    "logging.basicConfig(level=1)\n"
    "av.logging.set_level(av.logging.DEBUG)\n"
    "from framewire.client.cli import main\n"
    "sys.exit(main())"
)
SOURCES = [
    f"rtsp://{PLACE}:PORT/stream?token={SECRET}",
    f"rtsps://{PLACE}:PORT/stream",
    f"rtmp://{PLACE}:PORT/live/{SECRET}",
    f"rtmps://127.0.0.1:PORT/live/{SECRET}?pw={SECRET}",
    f"http://{PLACE}:PORT/video.mjpg?pwd={SECRET}#{SECRET}",
    f"https://{PLACE}:PORT/live.m3u8?{SECRET}",
    f"udp://127.0.0.1:PORT?localaddr={SECRET}",
    f"udp://{PLACE}",
    f"rtsp://joe:{SECRET}/x@127.0.0.1/stream",
    f"srt://{PLACE}:PORT",
    f"rtmp:/{PLACE}/live/x",
    f"concat:http://{PLACE}/x",
]
SINKS = [
    f"rtmp://{PLACE}:PORT/live/{SECRET}",
    f"rtmps://127.0.0.1:PORT/live/{SECRET}?pw={SECRET}",
    f"udp://127.0.0.1:PORT?localaddr={SECRET}",
    f"https://{PLACE}:PORT/x.m3u8",
    f"rtmp:{PLACE}/live/x.mp4",
    f"concat:http://{PLACE}/x.mp4",
]
FILES = ("--start-frame", "--timeline", "--save-timeline", "--contact-sheet")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def said_by(
    folder: Path,
    *options: str,
    typed: str = "",
    until: tuple[str, ...] = (),
    program: tuple[str, ...] = FRAMEWIRE,
) -> tuple[int, str]:
    """The exit code, and all that comes out; interrupted once all of `until` has come."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *program,
        "stream",
        *(option.replace("PORT", str(port)) for option in options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=os.environ | {"FRAMEWIRE_BACKEND": "testcard"},
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(typed.encode())
    process.stdin.close()
    said = b""
    async with asyncio.timeout(60):
        while some := await process.stdout.read(65536):
            said += some
            if until and all(words.encode() in said for words in until):
                process.send_signal(signal.SIGINT)
                until = ()
        return await process.wait(), said.decode()


@pytest.mark.parametrize("url", SOURCES)
async def test_of_a_source_that_cannot_be_opened(url: str, tmp_path: Path) -> None:
    """Nor in FFmpeg's own log, where somebody turns that on."""
    options = ("a fox", "--input", url, "--out", "x.mp4", "--json")
    code, said = await said_by(tmp_path, *options, program=(sys.executable, "-c", LOGGING))
    assert code == 2
    assert f"framewire stream: {url.partition(':')[0]}:" in said
    assert SECRET not in said
    assert "Traceback" not in said


async def test_of_sinks_that_cannot_be_reached_and_of_what_is_typed(tmp_path: Path) -> None:
    """In the report for people and in JSON's, in what is told meanwhile and in answers to lines."""
    sinks = [word for sink in SINKS[:3] for word in ("--out", sink)]
    typed = "".join(f"/record {name}\n/save {name}\n{name}\n" for name in (*SOURCES, *SINKS))
    async with serving(codec_threads=1) as worker:
        options = ("a fox", "--url", worker.url, "--size", "64x64", "--fps", "60", "--latency", "1")
        options = (*options, "--blocks", "10000", "--typing", "--out", "x/", *sinks)
        until = (
            "rtmp://…@127.0.0.1:",
            "; it is opened again",
            "/record writes files",
            "an address is no prompt",
        )
        for json, report in (((), "showed 0 frames at rtmp://…@"), (("--json",), '"left_out":')):
            code, said = await said_by(tmp_path, *options, *json, typed=typed, until=until)
            assert code == 130, said
            assert report in said and SECRET not in said
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("name", SINKS[3:])
async def test_of_what_is_no_sink(name: str, tmp_path: Path) -> None:
    code, said = await said_by(tmp_path, "a fox", "--out", name, "--json")
    assert code == 2 and SECRET not in said
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("option", FILES)
async def test_of_an_address_where_a_file_belongs(option: str, tmp_path: Path) -> None:
    code, said = await said_by(tmp_path, "a fox", option, f"http://{PLACE}/x.png?key={SECRET}")
    assert code == 2 and SECRET not in said
    assert f"{option}: http://…@127.0.0.1/x.png?…: an address, where a file is" in said
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("url", [f"{PLACE}/ws", f"ws:/{PLACE}/ws"])
async def test_of_what_is_no_worker_and_no_file(url: str, tmp_path: Path) -> None:
    code, said = await said_by(tmp_path, "a fox", "--url", url, "--out", "x.mp4")
    assert (code, SECRET in said) == (1, False)
    assert "…@127.0.0.1/ws' is neither" in said
    code, said = await said_by(tmp_path, "a fox", "--input", url, "--out", "x.mp4")
    assert (code, SECRET in said) == (2, False)


@pytest.mark.parametrize("query", ["fal_jwt_token", "token", "api_key", "password"])
async def test_of_a_worker_that_cannot_be_reached(query: str, tmp_path: Path) -> None:
    url = f"ws://{PLACE}:PORT/ws?{query}={SECRET}"
    code, said = await said_by(tmp_path, "a fox", "--url", url, "--json", "--out", "x.mp4")
    assert code == 1 and SECRET not in said
    assert "cannot be reached" in said
