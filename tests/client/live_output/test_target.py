"""What `--out` names as a live sink, and what of a URL people are shown."""

import asyncio
import json
from pathlib import Path

import pytest
from support.servers.ports import free_port
from support.servers.stand_in import stand_in, streams

from framewire.client.cli import main
from framewire.client.errors import SaveError
from framewire.client.live_output import target_of

SECRETS = ("us3r", "passw0rd", "k3y")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rtmp://us3r:passw0rd@host/live/k3y", "rtmp://…@host/live/…"),
        ("rtmp://host:1935/k3y", "rtmp://host:1935/…"),
        ("rtmps://host/live2/k3y?token=k3y", "rtmps://host/live2/…"),
        ("udp://127.0.0.1:5000?fifo=k3y", "udp://127.0.0.1:5000?…"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(name: str, shown: str) -> None:
    """Neither a password nor the key that RTMP has in its path."""
    target = target_of(name)
    assert target is not None and target.shown == shown
    assert not any(secret in repr(target) for secret in SECRETS)


@pytest.mark.parametrize(
    "name", ["srt://host:1", "udp://host", "rtmp:///app/k3y", "rtmp://h:0/k3y"]
)
def test_what_is_no_sink_is_refused_with_what_would_be_right(name: str) -> None:
    with pytest.raises(SaveError) as caught:
        target_of(name)
    assert "rtmp://" in caught.value.hint or "udp://" in caught.value.hint
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.mp4", "x/", "-", "/dev/null", "rtmp/x.gif"])
def test_files_stay_files(name: str) -> None:
    assert target_of(name) is None


async def test_a_command_never_tells_a_sinks_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens: said in progress, in the report and in --json, without password and key; the
    stream and its file are whole."""
    caplog.set_level("DEBUG")
    url = f"rtmp://us3r:passw0rd@127.0.0.1:{free_port()}/live/k3y"
    async with stand_in(streams) as server:
        args = ("stream", "x", "--url", server.url, "--blocks", "1", "--fps", "5", "--json")
        outs = ("--out", url, "--out", f"{tmp_path}/f/")
        assert await asyncio.to_thread(main, (*args, *outs)) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert found["saved"][0]["frames"] == 6
    (live,) = found["live"]
    assert live["name"].endswith("/live/…") and live["frames"] == 0
    assert live["error"]
    assert not any(secret in text for secret in SECRETS for text in (out, err, caplog.text))


def test_a_latency_without_a_live_sink_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("stream", "x", "--url", "ws://127.0.0.1:9/ws", "--latency", "1")) == 2
    assert "there is none" in capsys.readouterr().err


def test_hls_replaces_what_an_earlier_run_listed_and_no_other_file(tmp_path: Path) -> None:
    """Neither the input nor a file that only has a segment's name; nothing is touched before."""
    folder = tmp_path / "show"
    target = target_of(str(folder / "index.m3u8"))
    assert target is not None
    target.cleared()
    for name in ("index_00000.ts", "index_00001.ts"):
        (folder / name).write_bytes(b"a segment")
    (folder / "index.m3u8").write_text("#EXTM3U\n#EXTINF:2,\nindex_00000.ts\n")
    with pytest.raises(SaveError, match=r"would replace index_00001\.ts"):
        target.refuse_to_destroy([])
    (folder / "index_00001.ts").rename(folder / "mine.ts")
    target.refuse_to_destroy([("--input mine.ts", folder / "mine.ts")])
    for read in ("index.m3u8", "index_00000.ts"):
        with pytest.raises(SaveError, match="would replace --input"):
            target.refuse_to_destroy([("--input", folder / read)])
    target.cleared()
    assert [path.name for path in folder.iterdir()] == ["mine.ts"]


def test_a_command_does_not_write_hls_over_its_own_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "index.m3u8"
    clip.write_text("#EXTM3U\n")
    command = ["stream", "a fox", "--url", "ws://127.0.0.1:1/ws", "--input", str(clip)]
    assert main([*command, "--out", str(clip)]) != 0
    assert clip.read_text() == "#EXTM3U\n"


def test_a_folder_of_a_name_that_no_file_system_takes_is_refused_in_words() -> None:
    with pytest.raises(SaveError, match="File name too long"):
        target_of(f"{300 * 'x'}/index.m3u8")
