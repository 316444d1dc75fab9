"""What `--out` names as a live sink, and what of a URL people are shown."""

import asyncio
import json
from pathlib import Path

import pytest
from support.live.senders import free_port
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
