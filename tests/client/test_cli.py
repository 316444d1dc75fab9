"""The command line: what it sends, prints and returns."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pytest
from PIL import Image
from support.servers.stand_in import Peer, after_params, picture, stand_in, streams, token_endpoint

from framewire.client.cli import main
from framewire.protocol import Completed, Params, Ready, Started, Steer

SECRET = "a secret that is long enough for HS256"


async def run(*args: str) -> int:
    return await asyncio.to_thread(main, args)


class Heard:
    """A worker of ours, as far as a steer needs it, that keeps what it hears."""

    def __init__(self, *, steers: int = 0) -> None:
        self.messages: list[Any] = []
        self._steers = steers

    async def __call__(self, peer: Peer) -> None:
        await peer.say(Ready())
        self.messages.append(await peer.hear())
        params = self.messages[0]
        if params.events:
            started = Started(
                session_id="s", seed=9, width=64, height=64, num_blocks=1, backend="stand-in"
            )
            await peer.say(started)
        for _ in range(self._steers):
            self.messages.append(await peer.hear())
        await peer.say_frames(6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()


async def test_every_option_reaches_the_wire(tmp_path: Path) -> None:
    """As the param it stands for."""
    start_frame = tmp_path / "start.jpg"
    start_frame.write_bytes(picture(1))
    heard = Heard(steers=1)
    async with stand_in(heard) as server:
        code = await run(
            "stream", "a fox", "--url", server.url, "--blocks", "1", "--seed", "9",
            "--size", "64x128", "--steps", "2", "--start-frame", str(start_frame),
            "--steer", "4b=a cat",
        )  # fmt: skip
    assert code == 0
    params, steer = heard.messages
    assert params == Params(
        prompt="a fox",
        num_blocks=1,
        seed=9,
        width=64,
        height=128,
        num_denoising_steps=2,
        start_frame=picture(1),
        steers=(Steer(prompt="a cat", interp_steps=1, at_block=4),),
        events=True,
        fmt="msgpack",
    )
    # A worker that does not tell that it heeds those is told once more.
    assert steer == Steer(prompt="a cat", interp_steps=1, at_block=4)


async def test_a_large_start_frame_is_scaled_down_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gateways drop what has several megabytes, without a word."""
    photo, heard = tmp_path / "photo.png", Heard()
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 3000, 3), np.uint8)
    Image.fromarray(pixels).save(photo, compress_level=1)
    async with stand_in(heard) as server:
        options = ("--url", server.url, "--start-frame", str(photo), "--size", "832x480")
        assert await run("stream", "a fox", *options) == 0
    sent = heard.messages[0].start_frame
    assert len(sent) <= 1_000_000
    width, height = Image.open(io.BytesIO(sent)).size
    assert 832 <= width <= 2048 and height >= 480
    assert "photo.png, 3000x1500 and 13.5 MB, is sent as" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [b"nothing", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b""])
async def test_a_start_frame_that_is_no_picture_is_refused_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: bytes
) -> None:
    (tmp_path / "start.heic").write_bytes(bad)
    assert await run("stream", "a fox", "--start-frame", str(tmp_path / "start.heic")) == 2
    said = capsys.readouterr().err
    assert "start.heic is " in said
    assert said.count("\n") == 1


async def test_a_file_whose_name_begins_with_a_dash_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """argparse would take it for an option."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-start.jpg").write_bytes(picture(1))
    heard = Heard()
    async with stand_in(heard) as server:
        options = ("--url", server.url, "--start-frame", "-start.jpg", "--out", "-out.gif")
        assert await run("stream", "a fox", *options) == 0
    assert heard.messages[0].start_frame == picture(1)
    assert (tmp_path / "-out.gif").is_file()


async def test_plain_asks_for_nothing_beyond_the_hosted_wire() -> None:
    """Neither events nor envelopes, and steers without at_block."""
    heard = Heard()
    async with stand_in(heard) as server:
        args = ("stream", "a fox", "--url", server.url, "--plain", "--blocks", "1", "--seed", "3")
        code = await run(*args)
    assert code == 0
    assert heard.messages[0].wire() == {"prompt": "a fox", "num_blocks": 1, "seed": 3}


async def test_the_summary_names_what_came_and_what_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people: on stdout, with the files' names; unsent steers are owned up to."""
    async with stand_in(streams) as server:
        code = await run(
            "stream", "a fox", "--url", server.url, "--blocks", "2", "--steer", "99f=late",
            "--out", f"{tmp_path}/frames/", "--contact-sheet", f"{tmp_path}/sheet.png",
        )  # fmt: skip
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert "18 frames" in out
    assert "not steered at 99f" in out
    size = sum(len(picture(index)) for index in range(18))
    assert f"saved {tmp_path}/frames (18 frames, 1.12 s, {size / 1e3:.1f} kB)\n" in out
    sheet = (tmp_path / "sheet.png").stat().st_size
    assert f"saved {tmp_path}/sheet.png (12 frames, {sheet / 1e3:.1f} kB)\n" in out
    assert len(list((tmp_path / "frames").iterdir())) == 18


async def test_json_is_one_object_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs, with everything the summary has."""
    async with stand_in(Heard()) as server:
        code = await run(
            "stream", "a fox", "--url", server.url, "--json", "--out", f"{tmp_path}/f/"
        )
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["frames"], found["seed"], found["completed"]) == (6, 9, True)
    assert found["files"] == [f"{tmp_path}/f"]
    assert found["error"] is None
    assert found["bytes"] == sum(len(picture(index)) for index in range(6))


async def test_a_failed_stream_keeps_its_files_and_returns_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What had arrived is saved; the error has code, reason and hint, in the JSON too."""
    script = after_params(
        frames=5, code=1011, say='{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":"oh"}'
    )
    async with stand_in(script) as server:
        code = await run(
            "stream", "a fox", "--url", server.url, "--out", f"{tmp_path}/f/", "--json",
            "--no-reconnect",
        )  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 1
    assert "INTERNAL_ERROR: oh" in err
    found = json.loads(out)
    assert (found["completed"], found["frames"], found["error"]["code"]) == (
        False,
        5,
        "INTERNAL_ERROR",
    )
    assert len(list((tmp_path / "f").iterdir())) == 5


async def test_a_lost_connection_is_mended_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --url by default: all frames in the folder, a line for each step, and in the JSON."""
    scripts = [after_params(frames=5, code=1012, reason="draining"), streams]

    async def in_turn(peer: Peer) -> None:
        await scripts.pop(0)(peer)

    async with stand_in(in_turn) as server:
        code = await run(
            "stream", "a fox", "--url", server.url, "--blocks", "2", "--out", f"{tmp_path}/f/",
            "--json",
        )  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 0, err
    lost, found = err.splitlines()
    assert "connection lost after 5 frames" in lost and "draining" in lost
    assert "connected again" in found and "going on from frame 5" in found
    (mended,) = json.loads(out)["reconnects"]
    assert (mended["after_frames"], mended["attempts"], len(mended["causes"])) == (5, 1, 1)
    assert len(list((tmp_path / "f").iterdir())) == 18


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("stream",),
        ("stream", "a", "--url", "ws://x", "--fal", "a/b"),
        ("stream", "a", "--key", "k", "--secret", "s"),
        ("stream", "a", "--size", "64"),
        ("stream", "a", "--steer", "whenever=b"),
        ("stream", "a", "--start-frame", "/nowhere.jpg"),
        ("stream", "a", "--fps", "0"),
        ("stream", "a", "--fps", "x"),
        ("stream", "a", "--blocks", "0"),
        ("stream", " "),
        ("stream", "a", "--size", "63x64"),
        ("stream", "a", "--out", "a.xyz"),
        ("stream", "a", "--contact-sheet", "a.mp4"),
        ("token", "--expires", "soon"),
    ],
)
def test_wrong_usage_returns_2_before_anything_is_started(
    args: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With one line that says what is wrong."""
    try:
        code = main(args)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    assert code == 2
    assert capsys.readouterr().err


async def test_an_unreachable_worker_returns_1_with_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback."""
    assert await run("stream", "a", "--url", "ws://127.0.0.1:9/ws") == 1
    err = capsys.readouterr().err
    assert "is the worker running there" in err
    assert "Traceback" not in err


async def test_token_mints_with_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed bare, so that it can be used in a shell."""
    code = await run(
        "token", "--url", "ws://host/me/mine/ws", "--secret", SECRET, "--expires", "60"
    )
    found = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert code == 0
    assert (found["allowed_apps"], found["exp"] - found["iat"]) == (["mine"], 60)


async def test_token_asks_the_endpoint_with_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment, for the app that was named."""
    monkeypatch.setenv("FAL_KEY", "id:key")
    async with token_endpoint(lambda n: "a.b.c") as endpoint:
        code = await run(
            "token", "--fal", "me/mine", "--token-url", endpoint.url, "--expires", "60"
        )
    assert (code, capsys.readouterr().out) == (0, "a.b.c\n")
    assert endpoint.requests[0][1] == {"allowed_apps": ["mine"], "token_expiration": 60}


async def test_token_with_nothing_to_mint_with_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And returns 1."""
    for name in ("TOKEN", "KEY", "SECRET"):
        monkeypatch.delenv(f"FRAMEWIRE_{name}", raising=False)
    assert await run("token") == 1
    assert "--secret" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-5", "999999999"])
async def test_token_refuses_a_life_that_no_token_has(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit is the wire's: a day."""
    assert await run("token", "--secret", SECRET, "--expires", seconds) == 1
    assert "1 to 86400" in capsys.readouterr().err
