"""A session that was kept makes the same frames again, byte by byte, on the same worker."""

import asyncio
import hashlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.engines.held import HeldBefore
from support.engines.small_models import small_model
from support.servers.stand_in import picture
from support.servers.worker_server import command, serving
from support.timelines.files import entry
from support.timelines.narrow_network import narrow_network
from support.timelines.streamed import streamed
from support.video_files_made import video

from framewire.client import Frame, Reconnect, SaveError, Session, connect
from framewire.client.timeline import Journal, Timeline, load_timeline, save_timeline
from framewire.client.timeline.formats.writing import refuse_other_files, timeline_text

pytestmark = pytest.mark.timeout(300)
PROMPTS = [f"a {colour} circle moving {way}" for colour in ("red", "green", "blue", "yellow")
           for way in ("left", "right")]  # fmt: skip
WITH_EVENTS: Any = {"events": True, "fmt": "msgpack"}
SMALL: Any = {"width": 96, "height": 64}


@asynccontextmanager
async def worker(backend: str) -> AsyncIterator[str]:
    """`slow` is a test card whose blocks take time, so that changes fall into the midst of them."""
    if backend == "testcard":
        async with serving() as running:
            yield running.url
        return
    if backend == "slow":
        async with command(slow=True, FRAMEWIRE_TEST_BLOCK="0.03") as process:
            yield process.url
        return
    async with serving(small_model(backend), codec_threads=1) as running:
        yield running.url


def hashes(frames: list[Frame]) -> list[str]:
    return [hashlib.sha256(frame.jpeg).hexdigest() for frame in frames]


async def steered_by_hand(session: Session) -> list[Frame]:
    """A stream that is changed at odd moments, in every way that there is, and then ended."""
    held = {
        "prompt": PROMPTS[2],
        "prompts": [{"text": PROMPTS[2], "weight": 2}, {"text": PROMPTS[5], "weight": 1}],
        "at_block": 2,
    }
    await session.start(
        "a red circle", num_blocks=1000, seed=5, steers=[held], **SMALL, **WITH_EVENTS
    )
    frames = []
    async for frame in session:
        frames.append(frame)
        match frame.index:
            case 3 | 4 | 37:
                await session.steer(PROMPTS[frame.index % 7], interp_steps=frame.index % 5)
            case 19:
                await session.steer(prompts=[(PROMPTS[0], 0.7), (PROMPTS[1], 0.3)], interp_steps=3)
            case 20:
                await session.steer(strength=0.4)
            case 50:
                await session.steer(PROMPTS[6], transition="slerp", interp_steps=2)
            case 61:
                assert frame.block is not None
                await session.steer(num_blocks=frame.block + 3)
    return frames


async def replayed(url: str, timeline: Timeline) -> list[Frame]:
    async with connect(url) as session:
        return [frame async for frame in session.play(timeline)]


def kept(journal: Journal, folder: Path) -> Timeline:
    """By way of a file."""
    return load_timeline(save_timeline(journal.timeline(), folder / "kept.json"))


@pytest.mark.parametrize("backend", ["slow", "tiny"])
async def test_a_session_steered_by_hand_over_a_slow_network_is_made_again(
    backend: str, tmp_path: Path
) -> None:
    """Twice, over a fast network; every frame's SHA-256 is the same."""
    journal = Journal()
    async with worker(backend) as url:
        async with (
            narrow_network(url) as slow,
            connect(slow, journal=journal) as session,
        ):
            first = await steered_by_hand(session)
        timeline = kept(journal, tmp_path)
        (piece,) = timeline.pieces
        assert len(first) == piece.frames and piece.is_exact
        assert any("prompts" in steer for steer in piece.steers)
        assert piece.made_with["backend"] == backend
        again, once_more = [hashes(await replayed(url, timeline)) for _ in range(2)]
    assert again == once_more == hashes(first)


async def test_a_fast_one_too_however_its_changes_fell(tmp_path: Path) -> None:
    """By itself several times, so that they fall differently; each is made again as it was."""
    async with worker("slow") as url:
        for _ in range(3):
            journal = Journal()
            async with connect(url, journal=journal) as session:
                first = await steered_by_hand(session)
            assert hashes(await replayed(url, kept(journal, tmp_path))) == hashes(first)


async def test_resets_make_pieces_that_play_one_after_the_other(tmp_path: Path) -> None:
    """Each with its own seed and prompt, of as many frames as came before the reset."""
    journal, first = Journal(), []
    async with worker("testcard") as url:
        async with connect(url, journal=journal) as session:
            await session.start("a", num_blocks=10**6, seed=1, **SMALL, **WITH_EVENTS)
            async for frame in session:
                first.append(frame)
                if len(first) == 20:
                    await session.reset("b", seed=2, num_blocks=2)
        timeline = kept(journal, tmp_path)
        assert [piece.params["seed"] for piece in timeline.pieces] == [1, 2]
        again = await replayed(url, timeline)
    assert hashes(again)[-18:] == hashes(first)[-18:]
    assert hashes(again)[:20] == hashes(first)[:20]


async def test_a_reconnect_is_kept_as_pieces_and_each_of_them_plays(tmp_path: Path) -> None:
    """All together they are the frames that came, none too many, and each by itself is its part."""
    journal = Journal()
    policy = Reconnect(first_delay=0.05, max_delay=0.1)
    async with worker("slow") as url:
        async with (
            narrow_network(url, breaks_after=60_000) as breaking,
            connect(breaking, journal=journal, reconnect=policy) as session,
        ):
            first = await steered_by_hand(session)
        timeline = kept(journal, tmp_path)
        assert len(timeline.pieces) == 2, "the connection was lost once"
        whole = hashes(first)
        assert sum(piece.frames for piece in timeline.pieces) == len(whole)
        assert hashes(await replayed(url, timeline)) == whole
        at = 0
        for piece in timeline.pieces:
            alone = Timeline(timeline.entries, "a piece", pieces=(piece,))
            found = hashes(await replayed(url, alone))
            assert found == whole[at : at + piece.frames]
            at += piece.frames


async def test_the_pictures_of_a_camera_are_not_kept_and_that_is_said(tmp_path: Path) -> None:
    journal = Journal()
    async with worker("testcard") as url, connect(url, journal=journal) as session:
        await session.start("a", num_blocks=1, webcam_mode=True, **SMALL, **WITH_EVENTS)
        for number in range(6):
            await session.send_image(picture(number))
        assert len([frame async for frame in session]) == 6
    assert "camera" in timeline_text(journal.timeline())
    path = save_timeline(journal.timeline(), tmp_path / "live.json")
    found = await streamed(tmp_path, "--timeline", str(path))
    assert found.code == 2 and "a camera: give it as --input" in found.said


async def test_a_server_that_tells_nothing_is_kept_as_well_as_can_be(tmp_path: Path) -> None:
    """Without events blocks are counted by frames, and the file says so."""
    journal, held = Journal(), HeldBefore(2)
    async with serving(held) as running, connect(running.url, journal=journal) as session:
        await session.start("a", num_blocks=4, seed=3, **SMALL)
        async for frame in session:
            if frame.index == 7:
                await session.steer("b", interp_steps=1)
                held.gate.open()
    timeline = kept(journal, tmp_path)
    (piece,) = timeline.pieces
    assert (piece.is_exact, piece.frames, piece.params["seed"]) == (False, 42, 3)
    assert [steer["prompt"] for steer in piece.steers] == ["b"]
    assert "counted by frames" in timeline.notes[0]


async def test_the_command_keeps_what_it_played_and_plays_it_again(tmp_path: Path) -> None:
    """A file with a slow transition, a reset and a held picture: the same 104 files."""
    value = {
        "version": "2.1",
        "prompts": [entry(0, 3, PROMPTS[0]), entry(3, 6, PROMPTS[3], transitionSteps=4)],
        "settings": {"seed": 7, "resolution": {"width": 64, "height": 64}},
        "markers": [
            {"time": 1, "type": "pause", "seconds": 0.5}, {"time": 5, "type": "reset"},
        ],
    }  # fmt: skip
    (tmp_path / "it.json").write_text(json.dumps(value))
    first = await streamed(tmp_path, "--timeline", "it.json", "--save-timeline", "kept.json")
    assert first.found["kept"] == {
        "path": "kept.json", "pieces": 2, "frames": 96, "not_kept": [],
    }  # fmt: skip
    again = await streamed(tmp_path, "--timeline", "kept.json")
    assert again.code == 0 and len(first.frames) == 104 and again.frames == first.frames
    assert again.found["notes"] == []


async def test_it_says_where_what_the_frames_depend_on_is_not_what_it_was(tmp_path: Path) -> None:
    await streamed(tmp_path, "a", "--size", "64x64", "--blocks", "1", "--save-timeline", "k.json")
    value = json.loads((tmp_path / "k.json").read_text())
    value["framewire"]["pieces"][0]["made_with"]["backend"] = "tiny"
    (tmp_path / "k.json").write_text(json.dumps(value))
    found = await streamed(tmp_path, "--timeline", "k.json")
    assert found.code == 0
    assert "backend was tiny when it was kept, and is testcard" in found.found["notes"]
    assert "backend was tiny" in found.said


async def test_prompts_that_were_edited_are_played_instead_of_the_session(tmp_path: Path) -> None:
    await streamed(
        tmp_path, "a", "--size", "64x64", "--blocks", "2", "--steer", "1b=b",
        "--save-timeline", "k.json",
    )  # fmt: skip
    value = json.loads((tmp_path / "k.json").read_text())
    value["prompts"][1]["prompts"][0]["text"] = "c"
    (tmp_path / "k.json").write_text(json.dumps(value))
    found = await streamed(tmp_path, "--timeline", "k.json")
    assert (found.code, len(found.frames)) == (0, 18)
    assert found.found["prompts"] == ["a", "c"]
    assert "the prompts were changed since" in found.found["not_honoured"][0]


@pytest.mark.parametrize("backend", ["testcard", "tiny-streamdiffusionv2"])
async def test_a_clip_is_kept_by_its_hash_and_played_with_the_same_one_only(
    backend: str, tmp_path: Path
) -> None:
    """Seed, input video and prompts make the frames; another clip is named and refused."""
    clip, other = tmp_path / "clip.mp4", tmp_path / "other.mp4"
    colours = [(9 * number, 255 - 9 * number, 40) for number in range(27)]
    clip.write_bytes(video(colours, size=(64, 64)))
    other.write_bytes(video(colours[1:], size=(64, 64)))
    async with worker(backend) as url:
        given = ("--input", "clip.mp4", "--size", "64x64", "--strength", "0.7")
        first = await streamed(
            tmp_path, PROMPTS[0], *given, "--seed", "5", "--steer", f"3b={PROMPTS[3]}",
            "--save-timeline", "kept.json", url=url,
        )  # fmt: skip
        assert first.code == 0 and len(first.frames) == 27, first.said
        again = await streamed(tmp_path, "--timeline", "kept.json", "--input", "clip.mp4", url=url)
        assert again.code == 0, again.said
        assert again.frames == first.frames
        for wrong in (("--input", "other.mp4"), ()):
            refused = await streamed(tmp_path, "--timeline", "kept.json", *wrong, url=url)
            assert refused.code == 2 and refused.frames == []
            assert "clip.mp4 (SHA-256 " in refused.said
    held = json.loads((tmp_path / "kept.json").read_text())["framewire"]["clip"]
    assert held == {"name": "clip.mp4", "sha256": hashlib.sha256(clip.read_bytes()).hexdigest()}


async def test_a_session_that_used_part_of_a_clip_is_made_again_as_long(tmp_path: Path) -> None:
    """Nor does its end wait: who feeds it hears of the frames behind the last one, too."""
    colours = [(6 * number, 255 - 6 * number, 40) for number in range(40)]
    (tmp_path / "clip.mp4").write_bytes(video(colours, size=(64, 64)))
    async with worker("testcard") as url:
        given = ("--input", "clip.mp4", "--size", "64x64", "--frames", "10", "--seed", "5")
        first = await streamed(
            tmp_path, PROMPTS[0], *given, "--save-timeline", "kept.json", url=url
        )
        assert first.code == 0 and len(first.frames) == 10, first.said
        again = await streamed(tmp_path, "--timeline", "kept.json", "--input", "clip.mp4", url=url)
        assert again.code == 0 and again.frames == first.frames, again.said


async def test_no_other_file_is_replaced_by_accident(tmp_path: Path) -> None:
    """What is no timeline stays, and so does what is read or written beside it."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "it.json").write_text(json.dumps({"0": "a"}))
    for options, says in (
        (("--save-timeline", "notes.txt", "a"), "is no timeline, so it is not replaced"),
        (("--save-timeline", "it.json", "a"), "is no timeline, so it is not replaced"),
        (("--save-timeline", ".", "a"), "is a folder"),
        (
            ("--save-timeline", "k.json", "--out", "k.json/../k.json", "a"),
            "no saver for '.json' files",
        ),
    ):
        found = await streamed(tmp_path, *options)
        assert found.code == 2 and says in found.said, found.said
    await streamed(tmp_path, "a", "--blocks", "1", "--save-timeline", "k.json")
    found = await streamed(tmp_path, "--timeline", "k.json", "--save-timeline", "./k.json")
    assert found.code == 2 and "same file as --timeline k.json" in found.said
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert json.loads((tmp_path / "it.json").read_text()) == {"0": "a"}


def test_a_timeline_that_was_kept_before_may_be_replaced_by_another(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    path.write_text('{"version": "2.1", "prompts": []}')
    refuse_other_files(path)
    path.write_text("[1, 2")
    with pytest.raises(SaveError, match="no timeline"):
        refuse_other_files(path)


async def test_an_interrupted_session_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    """With Ctrl-C; what had arrived is made again."""
    process = await asyncio.create_subprocess_exec(
        "env", "--default-signal=INT", sys.executable, "-m", "framewire.client.cli",
        *("stream", "a", "--blocks", "1000000", "--size", "64x64", "--out", "one/"),
        *("--save-timeline", "k.json"),
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path)),
             "FRAMEWIRE_BACKEND": "testcard"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while not (tmp_path / "one" / "frame_000030.jpg").exists():
                assert process.returncode is None
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, error = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130 and b"Traceback" not in error
    assert re.search(rb"kept k.json \(\d+ frames\)", out)
    again = await streamed(tmp_path, "--timeline", "k.json")
    saved = sorted((tmp_path / "one").glob("frame_*.jpg"))
    first = [hashlib.sha256(path.read_bytes()).hexdigest() for path in saved]
    assert len(first) >= 31 and again.frames[: len(first)] == first
