"""What `--input` names, what of it people may see, and what is said of names that are none."""

import socket
import sys
from pathlib import Path

import pytest

from framewire.client.cli import main
from framewire.client.errors import InputError
from framewire.client.live_input.sources import devices
from framewire.client.live_input.sources.naming import Named, named, shown


def found(text: str) -> Named:
    source = named(text)
    assert source is not None
    return source


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("rtsp://cam:554/stream1", "rtsp://cam:554/stream1"),
        ("rtsp://joe:secret@cam/stream1", "rtsp://…@cam/stream1"),
        ("rtsp://joe:se@cret@cam/stream1", "rtsp://…@cam/stream1"),
        ("rtsp://joe:se/cret@cam/stream1", "rtsp://…@cam/stream1"),
        ("rtsp://joe:se?cret@cam:1/x?secret", "rtsp://…@cam:1/x?…"),
        ("rtsp://joe:se#cret@cam/x", "rtsp://…@cam/x"),
        ("http://cam/video?user=joe&pwd=secret#secret", "http://cam/video?…"),
        ("https://[::1]:8000/@user/live.m3u8", "https://[::1]:8000/@user/live.m3u8"),
        ("rtsp://joe:secret", "rtsp://…"),
    ],
)
def test_a_url_is_shown_without_its_user_password_and_query(url: str, seen: str) -> None:
    """However the password is written, whose / or ? ends the place of a URL by rights."""
    assert shown(url) == seen


def test_a_source_that_is_printed_shows_no_password() -> None:
    assert "secret" not in repr(found("rtsp://joe:secret@cam/x?token=secret"))


@pytest.mark.parametrize(
    "url",
    ["rtsp://joe:se@cret@cam/x", "rtsp://joe:se/cret@cam/x", "rtsp://joe:se?cret@cam/x", "rtsp://",
     "http:///x", "rtsp://joe:secret", "udp://cam", "http://cam:secret/", "udp://joe:secret@cam/"],
)  # fmt: skip
def test_what_is_no_url_is_told_what_one_is_like_and_no_password_is_quoted(url: str) -> None:
    with pytest.raises(InputError, match=r"is no URL.*%40 for @") as caught:
        named(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_scheme_that_nothing_reads_is_told_which_there_are() -> None:
    for url in ("ftp://joe:secret@host/x.mp4", "file:///etc/passwd", "concat://a|b", "srt://h:1"):
        with pytest.raises(InputError, match=r"is no source that is known here.*rtsp") as caught:
            named(url)
        assert "secret" not in str(caught.value)


def test_an_answer_leads_ffmpeg_to_no_file_of_this_machine() -> None:
    """Playlists name others, over the protocols of the network alone."""
    for url in ("http://h/x.m3u8", "https://h/x", "rtsp://h/x", "rtmp://h/x", "udp://h:1"):
        allowed = found(url).options["protocol_whitelist"].split(",")
        assert not {"file", "pipe", "concat", "subfile", "data", "fd", "unix"} & set(allowed)


def test_udp_is_listened_to_on_any_address_or_a_group() -> None:
    for url in ("udp://:5000", "udp://@:5000", "udp://@239.0.0.1:5000?reuse=1", "udp://h:5000"):
        assert found(url).place == url


def test_a_screen_has_a_display_and_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":7")
    assert found("screen").place == ":7"
    assert found("screen:1").place == ":1"
    assert found("screen::1.0").place == ":1.0"
    part = found("screen:host:2@640x360+10+20")
    assert (part.place, part.format) == ("host:2", "x11grab")
    assert part.options["video_size"] == "640x360"
    assert (part.options["grab_x"], part.options["grab_y"]) == ("10", "20")
    for text in ("screen@", "screen@640", "screen@0x10+0+0", "screen@2x.png"):
        with pytest.raises(InputError, match=r"no region.*screen@1280x720\+0\+100"):
            named(text)
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(InputError, match=r"DISPLAY is not set.*framewire devices"):
        named("screen")


@pytest.mark.parametrize("text", ["webcam.mp4", "screens", "testsrc.mp4", "./-", "./webcam", "a:b"])
def test_other_names_are_files(text: str) -> None:
    assert named(text) is None


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kernel lists cameras, in its shape, with none in it."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "_V4L2", tmp_path / "v4l2")
    monkeypatch.setattr(devices, "_DEV", tmp_path / "dev")
    monkeypatch.setattr(devices, "_X11", tmp_path / "x11")
    monkeypatch.delenv("DISPLAY", raising=False)
    for folder in ("v4l2", "dev", "x11"):
        (tmp_path / folder).mkdir()
    return tmp_path


def plug_in(kernel: Path, number: int, name: str, index: int = 0) -> None:
    node = kernel / "v4l2" / f"video{number}"
    node.mkdir()
    (node / "name").write_text(f"{name}\n")
    (node / "index").write_text(f"{index}\n")
    (kernel / "dev" / f"video{number}").touch()


def test_devices_says_so_where_there_are_none_and_exits_with_0(
    kernel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices"]) == 0
    assert "no camera and no screen was found" in capsys.readouterr().out
    assert main(["devices", "--json"]) == 0
    assert capsys.readouterr().out == '{"devices": []}\n'


def test_devices_lists_cameras_and_screens_as_input_takes_them(
    kernel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A camera's second node gives metadata, no pictures; a screen that was killed is none. Names
    control no terminal."""
    plug_in(kernel, 10, "Capture \x1b[2J card")
    plug_in(kernel, 2, "HD Camera: HD Camera")
    plug_in(kernel, 3, "HD Camera: HD Camera", index=1)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(kernel / "x11" / "X4"))
    with socket.socket(socket.AF_UNIX) as screen:
        screen.bind(str(kernel / "x11" / "X5"))
        screen.listen()
        assert main(["devices"]) == 0
    said = capsys.readouterr().out
    names = [line.split()[:2] for line in said.splitlines()]
    dev = kernel / "dev"
    assert names == [
        ["camera", f"webcam:{dev}/video2"],
        ["camera", f"webcam:{dev}/video10"],
        ["screen", "screen::5"],
    ]
    assert "\x1b" not in said
    assert found("webcam").place == f"{dev}/video2"
    assert found("webcam:capture").place == f"{dev}/video10"
    assert found("webcam:4").place == "/dev/video4"
    plug_in(kernel, 6, "HD Camera 2")
    with pytest.raises(InputError, match="there are several"):
        named("webcam:hd camera")
