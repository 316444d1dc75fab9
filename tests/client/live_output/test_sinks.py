"""Live sinks against FFmpeg on the other side: each frame shown once, and no sink holds up another."""

import asyncio
import io
import itertools
import re
import socket
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import pytest
from PIL import Image
from support.live.numbered import FPS, number_in, picture
from support.live.senders import ffmpeg, tls_in_front, wait_for, wait_for_listener
from support.servers.certificate import localhost_pem
from support.servers.ports import free_port

from framewire.client import Frame, Recorder
from framewire.client.live_output import Sink, outlet, target_of
from framewire.client.live_output import sink as sink_module
from framewire.client.savers import FolderSaver

BLOCK = 12
KEY = "s3cret-key"
QUICK = ("-analyzeduration", "200000", "-fflags", "nobuffer")
COPIED = ("-c", "copy", "-flush_packets", "1", "-f", "mpegts")


@cache
def jpeg(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture(number)).save(data, "JPEG")
    return data.getvalue()


def frame(number: int) -> Frame:
    return Frame(number, number // BLOCK, jpeg(number % 1000), time.monotonic())


def sink_at(name: str, latency: float = 10.0) -> Sink:
    target = target_of(name)
    assert target is not None
    return Sink(target, fps=FPS, latency=latency)


def numbers_in(file: Path) -> list[int]:
    found = []
    with av.open(str(file)) as container:
        for shown in container.decode(video=0):
            data = io.BytesIO()
            shown.to_image().save(data, "JPEG")
            found.append(number_in(data.getvalue()))
    return found


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def fed(recorder: Recorder, is_done: Callable[[], bool], begin: int = 0) -> int:
    """Frames at twice the clock's rate at most, until then; the number of the next one."""
    for number in itertools.count(begin):
        if is_done():
            return number
        await recorder.write(frame(number))
        await asyncio.sleep(1 / FPS)
    raise AssertionError


async def test_hls_keeps_every_segment_of_a_run_and_ends(tmp_path: Path) -> None:
    """Every frame is there once and in order, but for those the clock repeats; what an earlier run
    left is gone, what others keep there is not."""
    folder = tmp_path / "show"
    folder.mkdir()
    (folder / "index_00099.ts").write_bytes(b"of an earlier run")
    (folder / "index.m3u8").write_text("#EXTM3U\nindex_00099.ts\n")
    (folder / "mine.ts").write_bytes(b"mine")
    sink = sink_at(f"{folder}/index.m3u8")
    async with Recorder([], live=[sink]) as recorder:
        for number in range(5 * BLOCK):
            await recorder.write(frame(number))
    playlist = (folder / "index.m3u8").read_text()
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    segments = [line for line in playlist.splitlines() if line.endswith(".ts")]
    assert {path.name for path in folder.glob("*.ts")} == {*segments, "mine.ts"}
    numbers = numbers_in(folder / "index.m3u8")
    assert [number for number, _ in itertools.groupby(numbers)] == list(range(60))
    assert len(numbers) == 60 + sink.repeated
    assert (sink.shown, sink.left_out) == (60, 0)


async def test_hls_ends_for_its_players_though_its_encoder_is_away_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would wait for ever."""
    monkeypatch.setattr(sink_module, "_FIRST_PAUSE", 600.0)
    sink, playlist = sink_at(f"{tmp_path}/index.m3u8"), tmp_path / "index.m3u8"
    async with asyncio.timeout(90), Recorder([], live=[sink]) as recorder:
        count = await fed(recorder, playlist.exists)
        assert sink._outlet is not None
        sink._outlet.kill()
        await fed(recorder, lambda: sink.is_away, count)
        assert "ENDLIST" not in playlist.read_text()
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    assert sink.openings == 1


async def test_a_dead_sink_changes_neither_files_nor_other_sinks(tmp_path: Path) -> None:
    """One that takes the connection and never answers, and one that is killed and comes back."""
    port, first, second = free_port(), tmp_path / "a.ts", tmp_path / "b.ts"
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = sink_at(f"rtmp://user:pw@127.0.0.1:{silent.getsockname()[1]}/live/{KEY}", 1.0)
        sink = sink_at(f"rtmp://127.0.0.1:{port}/live/{KEY}")
        hls = sink_at(f"{tmp_path}/h/index.m3u8")
        sink.on_said = said.append
        server = ("-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/{KEY}")
        recorder = Recorder([FolderSaver(tmp_path / "f")], live=[dead, sink, hls])
        async with asyncio.timeout(90), recorder:
            with ffmpeg(*QUICK, *server, *COPIED, str(first)):
                count = await fed(recorder, lambda: size(first) > 20_000)
            count = await fed(recorder, lambda: len(said) == 1, count)
            with ffmpeg(*QUICK, *server, *COPIED, str(second)):
                count = await fed(recorder, lambda: size(second) > 20_000, count)
    frames = sorted((tmp_path / "f").glob("*.jpg"))
    assert [number_in(path.read_bytes()) for path in frames] == list(range(count))
    assert hls.shown == count and hls.left_out == 0
    assert dead.shown == 0
    assert re.fullmatch(rf"rtmp://127.0.0.1:{port}/live/…: .+; it is opened again", said[0])
    assert said[1] == f"rtmp://127.0.0.1:{port}/live/… is back"
    for file in (first, second):
        numbers = [number for number, _ in itertools.groupby(numbers_in(file))]
        assert numbers == sorted(set(numbers)) and numbers


async def test_udp_is_sent_at_the_clocks_rate_though_frames_come_in_blocks(tmp_path: Path) -> None:
    """FFmpeg takes it; the last frame is sent again while none comes, and never an older one."""
    port, file = free_port(socket.SOCK_DGRAM), tmp_path / "u.ts"
    sink = sink_at(f"udp://127.0.0.1:{port}")
    with ffmpeg(*QUICK, "-i", f"udp://127.0.0.1:{port}", *COPIED, str(file)):
        async with Recorder([], live=[sink]) as recorder:
            await fed(recorder, lambda: size(file) > 60_000)
            before = sink.repeated
            await asyncio.to_thread(wait_for, lambda: sink.repeated > before + 5)
        print(f"latency {sink.latency:.2f} s")
    numbers = numbers_in(file)
    assert numbers == sorted(numbers)
    once = [number for number, _ in itertools.groupby(numbers)]
    assert once == list(range(once[0], once[-1] + 1))


async def test_what_is_later_than_the_latency_allows_is_left_out(tmp_path: Path) -> None:
    """Four seconds of frames come at once."""
    sink = sink_at(f"{tmp_path}/index.m3u8", 0.5)
    async with Recorder([], live=[sink]) as recorder:
        for number in range(4 * FPS):
            await recorder.write(frame(number))
    assert sink.left_out > FPS
    assert sink.shown + sink.left_out == 4 * FPS


async def test_a_sink_that_is_opened_again_shows_the_last_frame_at_once(tmp_path: Path) -> None:
    """Though no new one comes: who watches sees no black until then."""
    port, first, second = free_port(), tmp_path / "a.ts", tmp_path / "b.ts"
    place = f"rtmp://127.0.0.1:{port}/live/{KEY}"
    said: list[str] = []
    sink = sink_at(place)
    sink.on_said = said.append
    async with asyncio.timeout(60), Recorder([], live=[sink]) as recorder:
        with ffmpeg(*QUICK, "-listen", "1", "-i", place, *COPIED, str(first)):
            count = await fed(recorder, lambda: size(first) > 20_000)
        await asyncio.to_thread(wait_for, lambda: len(said) == 1)
        with ffmpeg(*QUICK, "-listen", "1", "-i", place, *COPIED, str(second)):
            await asyncio.to_thread(wait_for, lambda: size(second) > 5_000)
    assert said[1] == f"rtmp://127.0.0.1:{port}/live/… is back"
    assert set(numbers_in(second)) == {count - 1}


async def test_rtmps_goes_only_where_the_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg by itself trusts whoever answers, and would tell him the key."""
    pem, port, file = localhost_pem(tmp_path), free_port(), tmp_path / "a.ts"
    key = f"{KEY}'|:]"
    said: list[str] = []
    async with tls_in_front(port, pem) as tls:
        place = f"rtmps://127.0.0.1:{tls}/live/{key}"
        refused = sink_at(place)
        refused.on_said = said.append
        async with asyncio.timeout(60), Recorder([], live=[refused]) as recorder:
            await fed(recorder, lambda: bool(said))
        monkeypatch.setenv("SSL_CERT_FILE", pem)
        sink = sink_at(place)
        server = ("-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/{key}")
        with ffmpeg(*QUICK, *server, *COPIED, str(file)):
            wait_for_listener(port)
            async with asyncio.timeout(60), Recorder([], live=[sink]) as recorder:
                await fed(recorder, lambda: size(file) > 20_000)
    assert refused.shown == 0
    assert f"rtmps://127.0.0.1:{tls}/live/…: Input/output error; where its certificate" in said[0]
    assert sink.openings == 1
    numbers = [number for number, _ in itertools.groupby(numbers_in(file))]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_what_is_to_end_at_once_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C, while what the first one waits for takes nothing."""
    monkeypatch.setattr(outlet, "STALLED_AFTER", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sink_at(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/{KEY}", 600.0)
        async with asyncio.timeout(60):
            count = await fed(Recorder([], live=[sink]), lambda: len(sink._waiting) > 20)
            closing = asyncio.create_task(asyncio.to_thread(sink.close))
            await asyncio.to_thread(sink.close, at_once=True)
            await closing
    assert (sink.shown, sink.openings) == (0, 1)
    assert 20 < sink.left_out < count
