"""What `--out` may name, and what the report says of it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.servers.stand_in import after_params, picture, stand_in, streams
from support.video_files_made import video

from framewire.client import Frame, Recorder
from framewire.client.cli import main
from framewire.client.commands.progress import Tally, progress_text
from framewire.client.commands.report import interruption_text
from framewire.client.savers import FolderSaver

NOWHERE = "ws://127.0.0.1:9/ws"


async def run(*args: str) -> int:
    return await asyncio.to_thread(main, args)


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "args",
    [
        ("--input", "c.mp4", "--out", "c.mp4"),
        ("--input", "c.mp4", "--out", "./c.mp4"),
        ("--input", "link.mp4", "--out", "c.mp4"),
        ("--input", "c.mp4", "--out", "link.mp4"),
        ("--input", "c.mp4", "--out", "new.gif", "--out", "d/../c.mp4"),
        ("--input", "d", "--out", "d/"),
        ("--input", "d", "--out", "d/s.png"),
        ("--start-frame", "d/s.png", "--contact-sheet", "d/s.png"),
        ("--start-frame", "d/frame_000000.jpg", "--out", "d/"),
        ("--out", "new.mp4", "--out", "./new.mp4"),
        ("--out", "new.png", "--contact-sheet", "new.png"),
    ],
)
def test_no_output_is_a_file_that_is_read_or_another_output(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: Sequence[str],
) -> None:
    """Wrong usage, before anything is started or touched, naming both."""
    (tmp_path / "c.mp4").write_bytes(video([(200, 0, 0)] * 4))
    (tmp_path / "link.mp4").symlink_to("c.mp4")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/s.png").write_bytes(picture(1))
    (tmp_path / "d/frame_000000.jpg").write_bytes(picture(1))
    before = files_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(("stream", "x", "--url", NOWHERE, *args)) == 2
    said = capsys.readouterr().err
    assert "same file" in said and said.count("--") >= 2
    assert files_in(tmp_path) == before


async def test_a_stream_that_never_begins_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """A video, a sheet and a folder of frames of the last run."""
    (tmp_path / "f").mkdir()
    for name in ("a.mp4", "a.gif", "a.png", "f/frame_000000.jpg"):
        (tmp_path / name).write_bytes(b"mine")
    script = after_params(code=1011, reason="no")
    async with stand_in(script) as server:
        outs = [f"--out={tmp_path}/{name}" for name in ("a.mp4", "a.gif", "a.png", "f/")]
        assert await run("stream", "x", "--url", server.url, "--no-reconnect", *outs) == 1
    assert list(files_in(tmp_path).values()) == [b"mine"] * 4


async def test_a_second_run_into_a_folder_replaces_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No frame of a longer stream before it is left, and the report says so."""
    async with stand_in(streams) as server:
        for blocks, frames in (("2", 18), ("1", 6)):
            args = ("stream", "x", "--url", server.url, "--blocks", blocks)
            assert await run(*args, "--out", f"{tmp_path}/f/") == 0
            assert len(files_in(tmp_path)) == frames
    assert "; 18 frames of an earlier stream replaced\n" in capsys.readouterr().out


async def test_saved_is_said_of_what_was_saved_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not of a file of the last run that stands where nothing came to, nor of a failed one."""
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    (tmp_path / "file").write_bytes(b"mine")
    outs = [f"--out={tmp_path}/{name}" for name in ("full.mp4", "file/x.gif", "a.mov", "a.mkv")]
    async with stand_in(streams) as server:
        assert await run("stream", "x", "--url", server.url, "--blocks", "1", *outs) == 1
        out, err = capsys.readouterr()
        saved = [line for line in out.splitlines() if line.startswith("saved ")]
        sizes = [(tmp_path / name).stat().st_size for name in ("a.mov", "a.mkv")]
        assert saved == [
            f"saved {tmp_path}/a.mov (6 frames, 0.38 s, {sizes[0] / 1e3:.1f} kB)",
            f"saved {tmp_path}/a.mkv (6 frames, 0.38 s, {sizes[1] / 1e3:.1f} kB)",
        ]
        assert "SAVE" in err and "No space left on device" in err
        await run("stream", "x", "--url", server.url, "--blocks", "1", "--json", *outs)
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [f"{tmp_path}/a.mov", f"{tmp_path}/a.mkv"]
    assert [(one["frames"], one["seconds"]) for one in found["saved"]] == [(6, 0.375)] * 2
    assert [one["bytes"] for one in found["saved"]] == sizes


async def test_after_an_interruption_saved_is_said_of_what_was_saved_only(tmp_path: Path) -> None:
    """Nothing, all, or all but what failed."""
    nothing = Recorder([FolderSaver(tmp_path / "a")])
    await nothing.close()
    assert interruption_text(nothing) == "interrupted; nothing was saved"
    everything = Recorder([FolderSaver(tmp_path / "b")])
    (tmp_path / "file").write_bytes(b"")
    partly = Recorder([FolderSaver(tmp_path / "c"), FolderSaver(tmp_path / "file/d")])
    for recorder in (everything, partly):
        await recorder.write(Frame(0, None, picture(0), 0.0))
        await recorder.close()
    assert interruption_text(everything) == "interrupted; what had arrived was saved"
    assert interruption_text(partly).endswith("was saved, but for what failed")


async def test_the_null_device_is_written_to_and_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with stand_in(streams) as server:
        args = ("stream", "x", "--url", server.url, "--blocks", "1")
        assert await run(*args, "--out", "/dev/null") == 0
    size = sum(len(picture(index)) for index in range(6))
    assert f"sent to /dev/null (6 frames, 0.38 s, {size / 1e3:.1f} kB)" in capsys.readouterr().out
    assert Path("/dev/null").is_char_device()  # noqa: ASYNC240 (nothing else runs)


async def test_a_gif_of_60_a_second_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its length is that of the stream."""
    async with stand_in(streams) as server:
        args = ("stream", "x", "--url", server.url, "--blocks", "2", "--fps", "60")
        assert await run(*args, "--out", f"{tmp_path}/g.gif") == 0
    out = capsys.readouterr().out
    assert "g.gif (" in out and ", 0.30 s, " in out and "frames left out" in out


def test_no_speed_is_told_of_frames_that_came_in_one_go() -> None:
    """A block arrives at once: 106,705 frames a second are nobody's."""
    now = 0.0
    tally = Tally(prompts=["a fox"], clock=lambda: now)
    tally.begin()
    for index in range(18):
        now = 1 + index * 1e-5
        tally.saw_frame(Frame(index, None, b"12345", 0.0))
    assert tally.fps == tally.fps_now == 0
    assert tally.as_dict()["fps"] is None
    assert "fps" not in progress_text(tally, "a fox")
