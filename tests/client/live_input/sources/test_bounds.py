"""What a live source keeps is bounded, and so is how long it is waited for."""

import asyncio
import os
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from support.live.numbered import numbered_clip
from support.live.senders import ffmpeg, wait_for_listener
from support.servers.ports import free_port

from framewire.client import Frame
from framewire.client.errors import InputError
from framewire.client.live_input.feed import Feed
from framewire.client.live_input.opening import source_from
from framewire.client.live_input.sources import live, opened
from framewire.client.live_input.sources.framing import AS_IT_IS
from framewire.client.live_input.sources.live import LiveSource
from framewire.client.live_input.sources.naming import named
from framewire.client.live_input.sources.opened import Pipe
from framewire.client.live_input.sources.sound import Resampled, SoundBuffer, SoundPiece


def sound(rate: int, samples: int, begins: Fraction) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), "fltp", "mono")
    frame.rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = round(begins * rate)
    return frame


def test_half_a_minute_of_sound_is_kept_the_newest_and_each_listener_hears_all_of_it() -> None:
    """One who has fallen behind goes on with the oldest that is there."""
    buffer = SoundBuffer()
    tenth = sound(48_000, 4_800, Fraction(0))
    early = iter(buffer)
    for number in range(400):
        buffer.put(SoundPiece(tenth, number))
        if number == 0:
            assert next(early).at == 0
    buffer.finish()
    assert [piece.at for piece in early] == list(range(100, 400))
    assert [piece.at for piece in buffer] == list(range(100, 400))


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_sound_of_any_rate_is_brought_to_one_and_follows_on_without_gaps(rate: int) -> None:
    """Until its clock jumps: then it begins anew at that time."""
    resampled, made = Resampled(), []
    for number in range(50):
        frame = sound(rate, rate // 50, 3 + Fraction(number, 50))
        made += list(resampled.take(frame))
    assert made[0][1] == 3
    for (frame, at), (_, then) in pairwise(made):
        assert then == pytest.approx(at + frame.samples / 48_000)
    assert sum(frame.samples for frame, _ in made) == pytest.approx(48_000, abs=100)
    [(_, at)] = list(resampled.take(sound(rate, rate // 50, Fraction(100))))[:1]
    assert at == 100


class Pictures(LiveSource):
    """A source in name only, of so many pictures, each with a time."""

    def __init__(self, count: int) -> None:
        self.name, self.at, self.sound_at, self.seen = "pictures", 0.0, None, count
        self._count = count

    def pictures(self, covers: object = None):  # type: ignore[no-untyped-def]
        for number in range(self._count):
            self.at = float(number)
            yield b"picture"

    def close(self) -> None:
        pass


class Session:
    async def send_image(self, jpeg: bytes, *, request_id: str | None = None) -> bool:
        return True

    async def end(self) -> bool:
        return True


async def test_a_feed_remembers_the_newest_times_only_and_measures_by_them() -> None:
    feed = Feed(Pictures(2000))
    async with asyncio.timeout(30):
        await feed.run(Session())
    assert (feed.used, feed.latency) == (2000, None)
    for number in (3, 1990, 1990, 1991):  # the first one is forgotten, repetitions do not count
        feed.takes(Frame(0, 0, b"", received_at=number + 0.25, request_id=str(number)))
        feed.takes(Frame(0, 0, b"", received_at=number + 9.0, request_id=str(number)))
    assert feed.latency == 0.25
    assert len(feed._seen_at) == 498


def test_a_source_that_stays_away_is_given_up_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "GIVE_UP_AFTER", 0.2)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    to = ("-an", "-f", "mpjpeg", "-listen", "1", url)
    with ffmpeg("-re", "-i", str(numbered_clip(tmp_path, 40)), *to) as sender:
        wait_for_listener(port)
        source = source_from(url, framing=AS_IT_IS)
        pictures = source.pictures()
        assert len(list(islice(pictures, 3))) == 3
        sender.kill()
        with pytest.raises(InputError, match=r"has been away for \d+ s: .*Connection refused"):
            list(pictures)
    source.close()


def test_a_pipe_without_a_byte_is_given_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "OPEN_SECONDS", 0.2)
    reading, writing = os.pipe()
    source = named("-")
    assert source is not None
    with pytest.raises(InputError, match=r"standard input: cannot be opened: nothing came for 0.2"):
        opened.opened(source, Pipe(reading))
    os.close(reading)
    os.close(writing)
