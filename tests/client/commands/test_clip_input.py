"""Reading clips: every frame of a video or a folder in order, and what the errors say."""

import asyncio
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.video_files_made import video

from framewire.client.commands.clip_feed import AHEAD, LEAD, ClipFeed
from framewire.client.commands.clip_input import Clip, clip_from
from framewire.client.errors import InputError
from framewire.client.frames import Frame

COLOURS = [(20 * number, 255 - 20 * number, 90) for number in range(12)]


def mean(picture: bytes) -> list[float]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float).mean((0, 1)).tolist()


def frame(request_id: str | None) -> Frame:
    return Frame(index=0, block=0, jpeg=b"", received_at=0.0, request_id=request_id)


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_every_frame_of_a_video_comes_once_and_in_order(tmp_path: Path, ending: str) -> None:
    """At its own rate, whatever it is: nothing is resampled."""
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(video(COLOURS, fps=25, fmt=ending))
    clip = clip_from(str(path))
    assert (clip.policy, clip.fps) == ("all", 25.0)
    pictures = list(clip.pictures())
    assert len(pictures) == len(COLOURS)
    for picture, colour in zip(pictures, COLOURS, strict=True):
        assert mean(picture)[:2] == pytest.approx(colour[:2], abs=8)


def test_a_folder_gives_its_pictures_by_name_as_they_are(tmp_path: Path) -> None:
    for name, colour in (("b.png", (9, 9, 9)), ("a.jpg", (200, 0, 0)), ("c.WEBP", (0, 0, 200))):
        Image.new("RGB", (32, 16), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = clip_from(str(tmp_path))
    assert clip.fps is None
    names = ("a.jpg", "b.png", "c.WEBP")
    assert list(clip.pictures()) == [(tmp_path / name).read_bytes() for name in names]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty", tmp_path / "text.mp4"
    empty.mkdir()
    text.write_text("no video")
    for name, said in (
        (tmp_path / "absent.mp4", "no such file or folder"),
        (empty, "has no pictures"),
        (text, "is no video that can be read"),
    ):
        with pytest.raises(InputError, match=f"{name.name}.*{said}"):
            clip_from(str(name))


def test_a_camera_that_is_not_there_is_said_so() -> None:
    """Its pictures are the newest ones; the name may be given."""
    clip = clip_from("webcam:/dev/no-such-camera")
    assert clip.policy == "newest"
    with pytest.raises(InputError, match=r"no camera at /dev/no-such-camera.*webcam:NAME"):
        next(clip.pictures())


def test_without_pyav_videos_say_what_to_install_and_folders_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert len(list(clip_from(str(tmp_path)).pictures())) == 1
    (tmp_path / "clip.mp4").write_bytes(b"x")
    for name in (str(tmp_path / "clip.mp4"), "webcam"):
        with pytest.raises(InputError, match=r"needs PyAV and Pillow.*framewire\[video\]"):
            clip_from(name)


def test_frames_of_the_lead_and_of_padding_are_left_out() -> None:
    """Each picture gets the first frame that was made from it."""
    feed = ClipFeed(Clip("clip", "all"))
    feed.sent = 3
    told = ["lead", "lead", "0", "0", "1", "2", "2", "2"]
    assert [feed.takes(frame(one)) for one in told] == [
        False, False, True, False, True, True, False, False,
    ]  # fmt: skip


def test_servers_that_do_not_tell_give_as_many_frames_as_were_sent() -> None:
    feed = ClipFeed(Clip("clip", "all"))
    feed.sent = 3
    assert [feed.takes(frame(None)) for _ in range(5)] == [True] * 3 + [False] * 2


class Listener:
    """In a session's place: takes pictures, and says when so many came."""

    def __init__(self) -> None:
        self.ids: list[str | None] = []
        self.ended = False
        self._came = asyncio.Condition()

    async def send_image(self, jpeg: bytes, *, request_id: str | None = None) -> bool:
        async with self._came:
            self.ids.append(request_id)
            self._came.notify_all()
        return True

    async def end(self) -> bool:
        self.ended = True
        return True

    async def until(self, count: int) -> None:
        async with self._came, asyncio.timeout(10):
            await self._came.wait_for(lambda: len(self.ids) >= count)


async def test_no_more_than_two_blocks_are_on_their_way(tmp_path: Path) -> None:
    """The rest waits for frames to come back."""
    for number in range(40):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number:03d}.png")
    feed, listener = ClipFeed(clip_from(str(tmp_path))), Listener()
    running = asyncio.create_task(feed.run(listener))
    for number in range(40):
        await listener.until(LEAD + min(40, AHEAD + number))
        assert len(listener.ids) == LEAD + min(40, AHEAD + number)
        assert feed.takes(frame(str(number)))
    await asyncio.wait_for(running, 10)
    assert listener.ids == ["lead"] * LEAD + [str(number) for number in range(40)]
    assert listener.ended
