"""`framewire stream --input URL` and `session.feed`: what others send live becomes a stream."""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av.logging
import pytest
from support.live.numbered import number_in, numbered_clip
from support.live.senders import ffmpeg, sent_by, wait_for_listener
from support.servers.ports import free_port
from support.servers.worker_server import serving

from framewire.client import Frame, connect
from framewire.client.cli import _parser, main
from framewire.client.commands.stream import prepare, run_stream
from framewire.client.live_input import open_source
from framewire.client.live_input.feed import ENDLESS
from framewire.client.live_input.sources import opened
from framewire.client.live_input.sources.live import LiveSource

pytestmark = pytest.mark.timeout(300)
SECRET = "s3cr3t-Passw0rd"
SECRET_IN_BASE64 = "am9lOnMzY3IzdC1QYXNzdzByZA"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of numbered pictures."""
    return numbered_clip(tmp_path_factory.mktemp("live"), 500)


@pytest.fixture
def ffmpegs_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that FFmpeg says, where a program asks for it."""
    caplog.set_level(1)
    caplog.set_level(1, "libav")
    av.logging.set_level(av.logging.TRACE)
    yield caplog
    av.logging.set_level(None)


def options_of(*argv: str) -> argparse.Namespace:
    return _parser().parse_args(["stream", "a fox", "--strength", "0.01", *argv])


@pytest.mark.parametrize("kind", ["rtsp", "mjpeg"])
async def test_a_stream_with_a_password_becomes_a_file_and_the_password_is_nowhere(
    kind: str,
    clip: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    ffmpegs_log: pytest.LogCaptureFixture,
) -> None:
    """The frames show its pictures in order, none twice."""
    out = tmp_path / "out"
    with sent_by(kind, clip, tmp_path) as name:
        secret = name.replace("://", f"://joe:{SECRET}@") + f"?token={SECRET}"
        async with serving(codec_threads=1, input_patience=60) as worker, asyncio.timeout(100):
            options = options_of(
                "--url",
                worker.url,
                "--input",
                secret,
                "--blocks",
                "3",
                "--out",
                f"{out}/",
                "--json",
            )
            savers = await asyncio.to_thread(prepare, options)
            assert await run_stream(options, savers) == 0
    said = capfd.readouterr()
    report = json.loads(said.out)
    numbers = [number_in(path.read_bytes()) for path in sorted(out.glob("*.jpg"))]
    assert len(numbers) == report["frames"] > 12
    assert all(after > before for before, after in pairwise(numbers)), numbers
    assert report["input"]["name"] == name.replace("://", "://…@") + "?…"
    print(f"{kind}: latency {report['input']['latency_seconds']:.3f} s")
    written = said.out + said.err + ffmpegs_log.text
    assert "libav" in ffmpegs_log.text
    assert SECRET not in written
    assert SECRET_IN_BASE64 not in written


@pytest.mark.parametrize("way", ["killed", "stopped"])
async def test_a_source_that_is_away_for_three_seconds_comes_back_into_the_same_stream(
    way: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, it is opened again, which is told; stopped, its connection stays."""
    monkeypatch.setattr(opened, "READ_SECONDS", 60.0)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = (
        "-re", "-stream_loop", "-1", "-i", str(clip), "-an", "-q:v", "2", "-f", "mpjpeg",
        "-listen", "1", url,
    )  # fmt: skip
    told: list[str] = []
    with contextlib.ExitStack() as running:
        sender = running.enter_context(ffmpeg(*command))
        wait_for_listener(port)
        source = await open_source(url)
        assert isinstance(source, LiveSource)
        source.on_said = told.append
        async with serving(codec_threads=1) as worker, connect(worker.url) as session:
            await session.start(
                "a fox", webcam_mode=True, input="newest", num_blocks=ENDLESS, strength=0.01,
                width=192, height=96, fmt="msgpack", events=True,
            )  # fmt: skip
            async with asyncio.timeout(100), session.feed(source) as feeding:
                await anext(feeding)
                if way == "killed":
                    sender.kill()
                    await asyncio.sleep(3)  # which is what it protects from
                    running.enter_context(ffmpeg(*command))
                else:
                    sender.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(3)
                    sender.send_signal(signal.SIGCONT)
                sent = feeding.feed.sent
                async for frame in feeding:
                    if int(frame.request_id or 0) > sent + 12:
                        break
                assert feeding.latency is not None
                print(f"{way}: latency {feeding.latency:.3f} s; {told}")
    went = [text for text in told if "went away" in text]
    back = [text for text in told if "is back after" in text]
    assert (len(went), len(back)) == ((1, 1) if way == "killed" else (0, 0))


async def test_a_program_feeds_a_clip_as_the_command_does(tmp_path: Path) -> None:
    """Each picture has one frame, in order; the lead and the padding are left out."""
    source = await open_source(str(numbered_clip(tmp_path, 30)))
    async with serving(codec_threads=1) as worker, connect(worker.url) as session:
        await session.start(
            "a fox", webcam_mode=True, input=source.policy, num_blocks=ENDLESS, strength=0.01,
            width=192, height=96, fmt="msgpack",
        )  # fmt: skip
        frames: list[Frame] = []
        async with asyncio.timeout(100), session.feed(source) as feeding:
            frames += [frame async for frame in feeding]
    assert [number_in(frame.jpeg) for frame in frames] == list(range(30))
    assert (feeding.feed.used, feeding.feed.total, feeding.latency) == (30, 30, None)


class Silent:
    """A server for which the kernel takes connections, and that says nothing."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]

    def was_reached(self) -> bool:
        """Whether somebody has connected."""
        try:
            self._listening.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with contextlib.closing(Silent()) as found:
        yield found


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_a_wrong_source_is_said_in_words_before_a_stream_is_asked_for(
    scheme: str,
    silent: Silent,
    capfd: pytest.CaptureFixture[str],
    ffmpegs_log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that refuses, and one that says nothing; no credit is spent, no password shown."""
    worker = Silent()
    for port, seconds, said in (
        (free_port(), 60.0, "Connection refused"),
        (silent.port, 0.5, "nothing came for 0.5 s"),
    ):
        monkeypatch.setattr(opened, "OPEN_SECONDS", seconds)
        url = f"{scheme}://joe:{SECRET}@127.0.0.1:{port}/x?token={SECRET}"
        argv = ["stream", "a fox", "--url", f"ws://127.0.0.1:{worker.port}/ws", "--input", url]
        assert main(argv) == 2
        err = capfd.readouterr().err
        path = "…" if scheme == "rtmp" else "x?…"
        assert f"{scheme}://…@127.0.0.1:{port}/{path}: cannot be opened: {said}" in err
        assert SECRET not in err + ffmpegs_log.text
    assert silent.was_reached()
    assert not worker.was_reached()
    worker.close()


def test_a_command_that_is_not_understood_quotes_no_password(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["stream", "a fox", "--inptu", f"rtsp://joe:{SECRET}@host/x"])
    said = capfd.readouterr().err
    assert "unrecognized arguments: --inptu rtsp://…@host/x" in said
    assert SECRET not in said


def test_options_of_the_input_without_one_are_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    for option in (["--crop", "8x8+0+0"], ["--fit", "cover"], ["--mirror"], ["--input-fps", "5"]):
        assert main(["stream", "a fox", *option]) == 2
        assert f"{option[0]} is of the input, and there is none" in capfd.readouterr().err
