"""The examples of `examples/live` run as they are, with FFmpeg on the other side."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.async_api import Browser
from support.engines.held import HeldBefore
from support.live.senders import ffmpeg, wait_for, wait_for_listener, x_server
from support.servers.ports import free_port
from support.servers.worker_server import serving

pytestmark = pytest.mark.timeout(300)
LIVE = Path(__file__).parents[3] / "examples" / "live"
TESTCARD = {**os.environ, "FRAMEWIRE_BACKEND": "testcard"}


def test_restyle_feeds_the_test_picture_and_tells_how_late_its_frames_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(LIVE / "restyle.py")],
        cwd=tmp_path,
        env=TESTCARD,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^testsrc is open; nothing is left out\n[1-4]?\d frames, each \d+\.\d\d s after its picture$",
        done.stdout,
        re.MULTILINE,
    ), done.stdout


@contextlib.contextmanager
def running(
    folder: Path, name: str, *arguments: str, **env: str
) -> Iterator[subprocess.Popen[str]]:
    """One that goes on until it is interrupted, with a worker of its own."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-u", str(LIVE / name), *arguments],
        cwd=folder,
        env=TESTCARD | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupted(process: subprocess.Popen[str]) -> str:
    """At Ctrl-C it ends in good order; what it said."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out


def pictures_in(place: Path) -> int:
    """How many there are, each decoded."""
    with av.open(str(place)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.browser
async def test_a_camera_is_shown_to_a_browser(tmp_path: Path, browser: Browser) -> None:
    """To one that comes before there is anything to see; the list ends as a whole."""
    playlist, held = tmp_path / "live" / "index.m3u8", HeldBefore(0)
    async with serving(held) as worker:
        with running(tmp_path, "camera_to_browser.py", "testsrc", worker.url) as process:
            await shown_in(browser, process, held)
    assert playlist.read_text().rstrip().endswith("#EXT-X-ENDLIST")
    assert pictures_in(playlist) >= 4 * 16 - 1


async def shown_in(browser: Browser, process: subprocess.Popen[str], held: HeldBefore) -> None:
    assert process.stdout is not None
    url = (await asyncio.to_thread(process.stdout.readline)).split()[0]
    page = await browser.new_page()
    await page.goto(url)
    held.gate.open()
    await page.wait_for_function(
        "document.querySelector('video').currentTime > 2", polling=100, timeout=60_000
    )
    size = "(video) => [video.videoWidth, video.videoHeight]"
    assert await page.eval_on_selector("video", size) == [832, 480]
    await asyncio.to_thread(interrupted, process)


def test_a_screen_goes_to_an_rtmp_server(tmp_path: Path) -> None:
    """Whose key is in nothing that is said."""
    port, received = free_port(), tmp_path / "received.flv"
    url = f"rtmp://127.0.0.1:{port}/live/s3cr3t-key"
    to = ("-listen", "1", "-i", url, "-c", "copy", "-flush_packets", "1", "-y", str(received))
    with x_server("320x240") as display, ffmpeg(*to):
        wait_for_listener(port)
        with running(tmp_path, "screen_to_rtmp.py", url, "screen", DISPLAY=display) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            while not (shown := re.match(r"(\d+) frames at", said)) or int(shown[1]) < 60:
                assert said, "it ended"
                said = process.stdout.readline()
            interrupted(process)
        wait_for(lambda: pictures_in(received) > 30)
    assert f"frames at rtmp://127.0.0.1:{port}/live/…, " in said
    assert "s3cr3t-key" not in said


def test_they_are_short() -> None:
    for path in LIVE.glob("*.py"):
        assert len(path.read_text().splitlines()) < 50, path.name
