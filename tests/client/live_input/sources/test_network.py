"""Each kind of source against what others send: FFmpeg, GStreamer, a web server, an X server."""

import asyncio
import contextlib
import io
import itertools
import os
import subprocess
from itertools import islice, pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from support.live.numbered import FPS, HEIGHT, WIDTH, number_in, numbered_clip
from support.live.senders import (
    ffmpeg,
    sent_by,
    tls_in_front,
    wait_for,
    web_server,
    x_server,
)
from support.servers.certificate import localhost_pem
from support.servers.ports import free_port

from framewire.client.errors import InputError
from framewire.client.live_input.opening import open_source, source_from
from framewire.client.live_input.source import Source
from framewire.client.live_input.sources.framing import AS_IT_IS, Framing
from framewire.client.live_input.sources.live import LiveSource
from framewire.client.live_input.sources.naming import named
from framewire.client.live_input.sources.opened import Pipe, opened

COUNT = 500


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of numbered pictures."""
    return numbered_clip(tmp_path_factory.mktemp("live"), COUNT)


def opening(name: str) -> contextlib.closing[Source]:
    return contextlib.closing(source_from(name, framing=AS_IT_IS))


@pytest.mark.parametrize("kind", ["rtsp", "rtmp", "udp", "mjpeg", "hls"])
def test_a_stream_gives_the_newest_picture_each_time_and_none_twice(
    kind: str, clip: Path, tmp_path: Path
) -> None:
    """Where the reader was slow, what came meanwhile is left out, not queued."""
    with sent_by(kind, clip, tmp_path) as name, opening(name) as live:
        assert (live.policy, live.size) == ("newest", (WIDTH, HEIGHT))
        assert live.name == name.replace("/live/x", "/live/…"), "RTMP's key is secret"
        pictures = live.pictures((WIDTH, HEIGHT))
        numbers = [number_in(one) for one in islice(pictures, 12) if isinstance(one, bytes)]
        seen = live.seen
        wait_for(lambda: live.seen >= seen + 8)
        numbers += [number_in(one) for one in islice(pictures, 3) if isinstance(one, bytes)]
        assert len(numbers) == 15
        assert all(after > before for before, after in pairwise(numbers)), numbers
        assert numbers[12] >= numbers[11] + 7
        print(f"{kind}: handed out {numbers}")


def test_a_pipe_is_read_at_its_own_rate_to_its_end(clip: Path) -> None:
    """Though whoever fills it is faster: FFmpeg here sends as fast as it can."""
    command = ("-i", str(clip), "-frames:v", "30", "-c", "copy", "-f", "mpegts", "-")
    with ffmpeg(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pipe, source = Pipe(process.stdout.fileno()), named("-")
        assert source is not None
        container = opened(source, pipe)
        with LiveSource(source, container, framing=AS_IT_IS, sound=True, pipe=pipe) as live:
            began = live.at
            numbers, times = [], []
            for one in live.pictures():
                assert isinstance(one, bytes)
                numbers.append(number_in(one))
                times.append(live.at or 0.0)
    assert began is None
    assert live.seen == 30
    assert all(after > before for before, after in pairwise(numbers))
    assert numbers[-1] == 29
    for (first, at), (second, then) in pairwise(zip(numbers, times, strict=True)):
        assert then - at == pytest.approx((second - first) / FPS, abs=0.002)


def test_a_file_on_the_web_is_a_clip(tmp_path: Path) -> None:
    """Every picture of it is used, in order, as of a file here."""
    path = numbered_clip(tmp_path, 40)
    with web_server(tmp_path) as port:
        source = source_from(f"http://127.0.0.1:{port}/{path.name}", framing=AS_IT_IS)
        assert (source.policy, source.fps, source.total) == ("all", FPS, 40)
        assert source.path is None
        assert numbers_of(source) == list(range(40))
        slower = source_from(f"http://127.0.0.1:{port}/{path.name}", framing=AS_IT_IS, fps=5)
        assert numbers_of(slower) == pytest.approx(list(range(0, 40, 5)), abs=1)
        assert "resampled to 5 fps" in slower.notes


def numbers_of(source: Source) -> list[int]:
    return [number_in(one) for one in source.pictures() if isinstance(one, bytes)]


def test_a_server_whose_certificate_is_not_trusted_is_told_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg by itself trusts whoever answers. `SSL_CERT_FILE` counts for the segments, too."""
    (tmp_path / "hls").mkdir()
    to = ("-c", "copy", "-f", "hls", "-hls_time", "0.4", str(tmp_path / "hls" / "x.m3u8"))
    with ffmpeg("-i", str(numbered_clip(tmp_path, 20)), *to) as sender:
        sender.wait()
    pem = localhost_pem(tmp_path)
    with web_server(tmp_path / "hls", pem) as port:
        url = f"https://joe:secret@127.0.0.1:{port}/x.m3u8"
        with pytest.raises(InputError, match=r"cannot be opened.*SSL_CERT_FILE") as caught:
            source_from(url, framing=AS_IT_IS)
        assert "secret" not in str(caught.value)
        monkeypatch.setenv("SSL_CERT_FILE", pem)
        assert numbers_of(source_from(url, framing=AS_IT_IS)) == list(range(20))


async def test_rtmps_is_read_only_where_the_certificate_is_trusted(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And rtsps; FFmpeg by itself trusts whoever answers."""
    pem = localhost_pem(tmp_path)
    async with tls_in_front(free_port(), pem) as port:
        for scheme in ("rtmps", "rtsps"):
            url = f"{scheme}://127.0.0.1:{port}/live/x"
            with pytest.raises(InputError, match="SSL_CERT_FILE names a file of authorities"):
                await open_source(url)
    monkeypatch.setenv("SSL_CERT_FILE", pem)
    with sent_by("rtmp", clip, tmp_path) as name:
        async with tls_in_front(urlsplit(name).port or 0, pem) as port:
            source = await open_source(f"rtmps://127.0.0.1:{port}/live/x")
            assert source.size == (WIDTH, HEIGHT)
            await asyncio.to_thread(source.close)


def test_a_screen_is_seen_and_a_part_of_it() -> None:
    with x_server("320x240") as display:
        with opening(f"screen:{display}") as whole:
            assert (whole.policy, whole.size) == ("newest", (320, 240))
            picture = next(whole.pictures())
            assert isinstance(picture, bytes)
            assert np.asarray(Image.open(io.BytesIO(picture))).shape == (240, 320, 3)
        part = f"screen:{display}@64x48+16+32"
        with opening(part) as source:
            assert source.size == (64, 48)


def test_live_pictures_are_cut_mirrored_fitted_and_no_more_than_asked_for() -> None:
    framing = Framing((400, 400, 0, 0), "contain", mirror=True)
    with contextlib.closing(source_from("testsrc", framing=framing, fps=12)) as source:
        assert (source.size, source.fps) == ((400, 400), 12)
        pictures = source.pictures((128, 64))
        times = []
        for one in islice(pictures, 4):
            assert isinstance(one, bytes)
            image = Image.open(io.BytesIO(one))
            assert image.size == (128, 64)
            assert np.asarray(image)[:, :24].max() < 30  # bars beside the square
            times.append(source.at or 0.0)
        steps = [12 * (after - before) for before, after in pairwise(times)]
        assert steps == pytest.approx([max(1, round(step)) for step in steps], abs=0.05)


def test_sound_comes_with_times_on_the_pictures_clock(clip: Path, tmp_path: Path) -> None:
    """Of a stream and of a clip: the tone is in its second second, wherever the picture is."""
    with sent_by("rtmp", clip, tmp_path) as name:
        source = source_from(name, framing=AS_IT_IS, sound=True)
        with contextlib.closing(source):
            assert source.has_sound
            pictures, shown = source.pictures(), []
            while not shown or shown[-1][0] < 2.6 * FPS:
                one = next(pictures)
                assert isinstance(one, bytes)
                shown.append((number_in(one), source.at or 0.0))
            heard = list(itertools.takewhile(lambda p: p.at < shown[-1][1] - 0.1, source.sound()))
    loud = [piece.at for piece in heard if np.abs(piece.frame.to_ndarray()).max() > 3000]
    # What comes in the first burst has the time of its coming: the tone's end counts.
    begins = min(at - number / FPS for number, at in shown)
    assert loud[-1] == pytest.approx(begins + 2, abs=0.15)

    whole = source_from(str(clip), framing=AS_IT_IS, sound=True)
    loud = [p.at for p in whole.sound() if np.abs(p.frame.to_ndarray()).max() > 3000]
    assert (loud[0], loud[-1]) == (pytest.approx(1, abs=0.05), pytest.approx(2, abs=0.05))
    assert "its sound is left out" not in whole.notes
    late = list(whole.sound(since=15.0))
    loud = [p.at for p in whole.sound(since=1.8) if np.abs(p.frame.to_ndarray()).max() > 3000]
    assert 13 < late[0].at < 15, "the rest is not read"
    assert loud[-1] == pytest.approx(2, abs=0.05)


def test_closing_ends_a_read_that_waits() -> None:
    """Of a pipe on which nothing comes any more."""
    reading, writing = os.pipe()
    pipe = Pipe(reading)
    pipe.stop()
    assert pipe.read(10) == b""
    os.close(reading)
    os.close(writing)
