"""A stream is recorded where its viewer asked for it, within bounds, and had as a video file."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import seen
from support.viewers.raw_viewer import SMALL, connected, opened, pixels

from framewire.worker.server.storage.recordings import (
    MOST_RECORDINGS,
    Recordings,
    recorded_frames,
)

JWT = {"auth": "jwt", "key": "k1"}
KEY = {"Authorization": "Key k1"}


async def download(worker: Running, session_id: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as client:
        return await client.get(f"/download_video/{session_id}", **request)


def session_url(worker: Running, query: str = "", session_id: str = "mine") -> str:
    return f"ws://127.0.0.1:{worker.port}/session/{session_id}{query}"


async def streamed(url: str, **params: Any) -> list[bytes]:
    async with opened(url) as viewer:
        assert (await viewer.next())["status"] == "ready"
        await viewer.say(**({"prompt": "a", "num_blocks": 2, "seed": 7} | SMALL | params))
        return (await viewer.stream()).frames


def is_of(video: bytes, frames: list[bytes]) -> bool:
    """Whether a video shows these frames, as far as its codec keeps them."""
    shown = seen(video)
    assert (shown.fps, shown.codec, shown.pixel_format) == (16, "h264", "yuv420p")
    return len(shown.frames) == len(frames) and all(
        np.abs(one.astype(float) - pixels(other)).mean() < 6
        for one, other in zip(shown.frames, frames, strict=True)
    )


@pytest.mark.parametrize(("query", "params"), [("?record=1", {}), ("", {"record": True})])
async def test_a_recording_has_every_frame_as_soon_as_the_stream_is_complete(
    query: str, params: dict[str, Any]
) -> None:
    async with serving() as worker:
        frames = await streamed(session_url(worker, query), **params)
        answer = await download(worker, "mine")
        assert answer.status_code == 200 and answer.headers["content-type"] == "video/mp4"
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment") and "video_mine.mp4" in disposition
        assert len(frames) == 18 and is_of(answer.content, frames)
        again = await download(worker, "mine")
        assert again.content == answer.content
        assert len(worker.server._app.state.clips._kept) == 1


async def test_nothing_is_kept_where_nobody_asked() -> None:
    async with serving() as worker:
        await streamed(session_url(worker))
        await streamed(session_url(worker, "?record=1", "other"), record=False)
        for session_id in ("mine", "other", "another", "..%2F..%2Fetc%2Fpasswd"):
            answer = await download(worker, session_id)
            assert answer.status_code == 404
        assert "record: true" in (await download(worker, "mine")).json()["error"]
        folder = worker.server._app.state.recordings._folder
        assert list(folder.iterdir()) == []


async def test_every_session_has_an_id_by_which_it_is_had() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=1, record=True, **SMALL)
        said = await viewer.stream()
        answer = await download(worker, said.last["session_id"])
        assert is_of(answer.content, said.frames)


async def test_a_recording_is_of_the_last_stream_and_can_be_had_while_it_runs() -> None:
    async with serving() as worker, connected(worker.url + "?events=1&record=1") as viewer:
        await viewer.say(prompt="a red circle", num_blocks=4, seed=7, **SMALL)
        session_id = (await viewer.stream()).last["session_id"]
        await viewer.say(prompt="a blue square", num_blocks=1, width=64, height=128)
        last = (await viewer.stream()).frames
        answer = await download(worker, session_id)
        assert seen(answer.content).size == (64, 128) and is_of(answer.content, last)
        await viewer.say(prompt="a blue square", num_blocks=1000, fps=16)
        first = (await viewer.event("block")).frames
        running = seen((await download(worker, session_id)).content)
        assert len(running.frames) >= len(first) == 6
        await viewer.say(num_blocks=1)
        whole = first + (await viewer.stream()).frames
        assert is_of((await download(worker, session_id)).content, whole)


async def test_two_sessions_of_one_id_do_not_mix() -> None:
    async with serving() as worker, opened(session_url(worker, "?record=1&events=1")) as first:
        await first.next()
        await first.say(prompt="a", num_blocks=1000, fps=16, **SMALL)
        begun = (await first.frame()).frames
        async with opened(session_url(worker, "?record=1&events=1")) as second:
            await second.next()
            await second.say(prompt="b", num_blocks=1, **SMALL)
            warned = (await second.event("warning")).last
            assert "another stream" in warned["reason"]
            await second.stream()
        await first.say(num_blocks=1)
        frames = begun + (await first.stream()).frames
        assert is_of((await download(worker, "mine")).content, frames)


async def test_a_recording_ends_at_its_bound_and_the_stream_goes_on() -> None:
    async with serving(recording_megabytes=1) as worker:
        async with connected(worker.url + "?events=1&record=1") as viewer:
            await viewer.say(prompt="a", num_blocks=20, seed=7, width=256, height=128)
            said = await viewer.stream()
        (warned,) = said.of("warning")
        assert len(said.frames) == 234 and "the recording ends after" in warned["reason"]
        video = (await download(worker, said.last["session_id"])).content
        kept = len(seen(video).frames)
        assert f"after {kept} frames" in warned["reason"] and 6 <= kept < 234
        assert sum(map(len, said.frames[:kept])) <= 250_000


async def test_whoever_may_not_stream_gets_no_recording() -> None:
    async with serving(**JWT) as worker:
        async with opened(session_url(worker, "?record=1"), additional_headers=KEY) as viewer:
            await viewer.next()
            await viewer.say(prompt="a", num_blocks=1, **SMALL)
            await viewer.stream()
        assert (await download(worker, "mine")).status_code == 401
        assert (await download(worker, "mine", headers=KEY)).status_code == 200
    async with serving() as worker:
        answer = await download(worker, "mine", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 401 and "error" in answer.json()


async def recorded(recordings: Recordings, session_id: str, size: int) -> None:
    recording = recordings.begin(session_id, 64, 64)
    await recording.add([b"x" * size])
    recording.finish()


async def test_recordings_are_bounded_in_all_and_those_that_are_over_make_room(
    tmp_path: Path,
) -> None:
    recordings = Recordings(tmp_path / "r", 60, 4000)
    for number in range(5):
        await recorded(recordings, str(number), 896)
    assert [recordings.find(str(number)) is not None for number in range(5)] == [False, *[True] * 4]
    running = [recordings.begin(f"running {number}", 64, 64) for number in range(5)]
    for recording in running[:4]:
        assert await recording.add([b"x" * 996]) is None
    assert "as much as is kept" in str(await running[4].add([b"x" * 100]))
    assert await running[4].add([b"x"]) is None, "said once"
    assert recordings._bytes == 4000 and running[0].frames == 1 and running[4].frames == 0
    recordings.close()
    assert list((tmp_path / "r").iterdir()) == []


async def test_recordings_are_bounded_in_number(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "r", 60, 10**6)
    for number in range(MOST_RECORDINGS):
        recordings.begin(str(number), 64, 64)
    with pytest.raises(ValueError, match=f"{MOST_RECORDINGS} streams"):
        recordings.begin("one more", 64, 64)
    over = recordings.find("7")
    assert over is not None
    over.finish()
    recordings.begin("one more", 64, 64)
    assert recordings.find("7") is None
    recordings.close()


async def test_a_recording_is_deleted_when_its_time_is_over_and_with_its_worker(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "r"
    recordings = Recordings(folder, 0.01, 10**6)
    await recorded(recordings, "brief", 10)
    async with asyncio.timeout(PATIENCE):
        while recordings.find("brief") is not None:  # noqa: ASYNC110 (time tells nobody)
            await asyncio.sleep(0.005)
    assert list(folder.iterdir()) == []
    recordings.begin("left", 64, 64)
    (folder / "left by a killed worker").touch()
    Recordings(folder, 60, 10**6)
    assert list(folder.iterdir()) == []


async def test_what_a_full_disk_took_in_part_is_not_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = Recordings(tmp_path / "r", 60, 10**6)
    recording = recordings.begin("a", 64, 64)
    await recording.add([b"one", b"two"])

    def failing(data: bytes) -> None:
        with recording.path.open("ab") as file:
            file.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, "_append", failing)
    assert "No space left" in str(await recording.add([b"three"]))
    assert list(recorded_frames(recording.path, recording.frames)) == [b"one", b"two"]
    recordings.close()
