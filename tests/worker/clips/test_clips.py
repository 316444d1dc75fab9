"""`POST /text-to-video` and `/video-to-video` on the real local worker, over real HTTP."""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fal_client
import httpx
import jwt
import numpy as np
import pytest
from support.engines.scripted_backend import ScriptedBackend
from support.servers.stand_in import tcp_server
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import data_url, seen, video
from support.videos_as_shown import overwritten, written
from support.viewers.raw_viewer import connected

SMALL = {"prompt": "a red circle on blue", "width": 128, "height": 64}
KEY = {"Authorization": "Key k1"}


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


async def ask(worker: Running, path: str, headers: Any = None, **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as client:
        return await client.post(worker.http + path, json=SMALL | body, headers=headers)


async def fetched(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as client:
        got = await client.get(answer.json()["video"]["url"])
    assert got.status_code == 200
    assert got.headers["content-type"] == "video/mp4"
    return got.content


async def test_a_clip_has_exactly_the_frames_that_were_asked_for(worker: Running) -> None:
    for count in (18, 162):
        answer = await ask(worker, "/text-to-video", num_frames=count)
        data = await fetched(answer)
        clip = seen(data)
        assert (len(clip.frames), clip.size, clip.fps) == (count, (128, 64), 16)
        said = answer.json()
        assert set(said) == {"video", "seed"}
        assert said["video"] | {"url": ""} == {
            "url": "",
            "content_type": "video/mp4",
            "file_name": "output.mp4",
            "file_size": len(data),
        }


async def test_78_frames_come_where_none_are_named(worker: Running) -> None:
    answer = await ask(worker, "/fal-ai/krea-wan-14b/text-to-video")
    assert len(seen(await fetched(answer)).frames) == 78


async def test_fal_client_calls_it_unchanged_but_for_its_host(
    worker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{worker.http}/")
    client = fal_client.AsyncClient(key="id:secret")
    said = await client.run("fal-ai/krea-wan-14b/text-to-video", SMALL | {"num_frames": 18})
    await (await client._client).aclose()
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as plain:
        file = (await plain.get(said["video"]["url"])).content
    assert len(seen(file).frames) == 18


async def test_the_seed_that_is_reported_makes_the_same_clip_again(worker: Running) -> None:
    first = await ask(worker, "/text-to-video", num_frames=18)
    again = await ask(worker, "/text-to-video", num_frames=18, seed=first.json()["seed"])
    other = await ask(worker, "/text-to-video", num_frames=18, seed=first.json()["seed"] ^ 1)
    assert await fetched(first) == await fetched(again) != await fetched(other)


@pytest.mark.parametrize("count", [0, 6, 17, 79, 174, -6, True, "many", 18.5])
async def test_a_wrong_number_of_frames_is_answered_with_the_right_ones(
    worker: Running, count: Any
) -> None:
    answer = await ask(worker, "/text-to-video", num_frames=count)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", "num_frames"]
    if isinstance(count, int) and not isinstance(count, bool):
        assert "18, 30, 42" in error["msg"] and "162" in error["msg"]


async def test_other_wrong_params_are_named(worker: Running) -> None:
    for body, key in (
        ({"prompt": "  "}, "prompt"),
        ({"width": 8}, "width"),
        ({"seed": -1}, "seed"),
    ):
        answer = await ask(worker, "/text-to-video", **body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", key]
    for strength in (-0.1, 1.1, True):
        answer = await ask(worker, "/video-to-video", video_url="data:,", strength=strength)
        assert answer.json()["detail"][0]["loc"] == ["body", "strength"]


async def test_a_video_becomes_a_clip_of_its_length(worker: Running) -> None:
    """25 frames fill 6 + 12 and a part of 12 more, which is padded."""
    source = data_url(video([(200, 0, 0)] * 25))
    for asked, made in ((None, 30), (18, 18), (42, 42)):
        body = {} if asked is None else {"num_frames": asked}
        answer = await ask(worker, "/video-to-video", video_url=source, **body)
        assert len(seen(await fetched(answer)).frames) == made
    short = await ask(worker, "/video-to-video", video_url=data_url(video([(0, 0, 0)])))
    assert len(seen(await fetched(short)).frames) == 18
    long = await ask(worker, "/video-to-video", video_url=data_url(video([(0, 0, 0)] * 200)))
    assert len(seen(await fetched(long)).frames) == 162


async def test_strength_says_how_much_of_the_video_stays(worker: Running) -> None:
    source = data_url(video([(20, 220, 20)] * 18))
    means = []
    for strength in (0, 0.85):
        answer = await ask(worker, "/video-to-video", video_url=source, strength=strength)
        means.append(np.mean(seen(await fetched(answer)).frames[9], axis=(0, 1)))
    assert means[0] == pytest.approx((20, 220, 20), abs=12)
    assert means[1][1] < 200


async def test_the_pictures_of_the_video_come_in_order() -> None:
    backend = ScriptedBackend(frames=6, live=3)
    colours = [(10 * at, 0, 0) for at in range(18)]
    async with serving(backend) as worker:
        answer = await ask(worker, "/video-to-video", video_url=data_url(video(colours)))
        await fetched(answer)
    reds = [red for block in backend.sessions[0].pictures for red in block]
    assert reds == pytest.approx([10 * at for at in range(18)], abs=6)
    assert backend.sessions[0].closed


async def test_damaged_packets_of_an_upload_are_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is repeated for them."""
    greys = [np.full((64, 128, 3), 6 * number, np.uint8) for number in range(32)]
    upload = overwritten(written(greys, options={"x264-params": "keyint=1"}), 3, 4)
    backend = ScriptedBackend(live=4)
    async with serving(backend) as worker:
        answer = await ask(worker, "/video-to-video", video_url=data_url(upload))
        assert answer.status_code == 200
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            metrics = (await client.get(worker.http + "/metrics")).text
    assert "framewire_pictures_dropped_total 2.0" in metrics
    assert "2 damaged packets of an upload were left out" in caplog.text
    used = [red for block in backend.sessions[0].pictures for red in block][:30]
    wanted = [6 * number for number in range(32) if number not in (3, 4)]
    assert used == pytest.approx(wanted, abs=4)


async def test_surplus_frames_of_a_block_are_cut() -> None:
    """Whatever a backend's blocks are, the clip has the frames that were asked for."""
    async with serving(ScriptedBackend(frames=7)) as worker:
        answer = await ask(worker, "/text-to-video", num_frames=30)
        assert len(seen(await fetched(answer)).frames) == 30


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/x.mp4", "not a host that this worker fetches from"),
        ("https://example.com/x.mp4", "not a host that this worker fetches from"),
        ("file:///etc/passwd", "only http, https and data URLs"),
        ("data:video/mp4,plain", "must be base64"),
        ("data:video/mp4;base64,%%%", "no base64"),
        ("data:video/mp4;base64," + base64.b64encode(b"#EXTM3U\n").decode(), "not an MP4"),
    ],
)
async def test_a_video_url_that_is_not_taken_says_why(worker: Running, url: str, why: str) -> None:
    answer = await ask(worker, "/video-to-video", video_url=url)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", "video_url"] and why in error["msg"]


async def test_a_video_is_fetched_from_a_network_that_the_operator_allows() -> None:
    data = video([(0, 0, 200)] * 18)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    async with tcp_server(handle) as port, serving(video_hosts="127.0.0.0/8") as worker:
        url = f"http://127.0.0.1:{port}/in.mp4"
        answer = await ask(worker, "/video-to-video", video_url=url)
        assert len(seen(await fetched(answer)).frames) == 18


async def test_prompt_expansion_that_is_not_configured_is_a_warning_beside_the_clip() -> None:
    """The hosted endpoints' callers send it without thinking of it; the prompt is used as it is."""
    backend = ScriptedBackend(frames=18)
    async with serving(backend) as worker:
        answer = await ask(worker, "/text-to-video", num_frames=18, enable_prompt_expansion=True)
        assert len(seen(await fetched(answer)).frames) == 18
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("enable_prompt_expansion: ") and "not configured" in warning
    assert "FRAMEWIRE_EXPANSION_URL" in warning
    assert backend.sessions[0].settings.prompt == SMALL["prompt"]


async def test_a_prompt_is_expanded_by_the_configured_endpoint() -> None:
    """The words come from there, with the operator's key and model, and are what is streamed."""
    asked: list[Any] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length:")[1].split()[0])
        asked.append((head.lower(), json.loads(await reader.readexactly(length))))
        said = json.dumps({"choices": [{"message": {"content": " a red circle at dawn "}}]})
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode())

    backend = ScriptedBackend(frames=18)
    async with tcp_server(handle) as port:
        settings = {
            "expansion_url": f"http://127.0.0.1:{port}/v1/",
            "expansion_key": "e1",
            "expansion_model": "small",
        }
        async with serving(backend, **settings) as worker:
            answer = await ask(
                worker, "/text-to-video", num_frames=18, enable_prompt_expansion=True
            )
            assert answer.status_code == 200
    ((head, body),) = asked
    assert head.startswith("post /v1/chat/completions ") and "bearer e1" in head
    assert body["model"] == "small" and body["messages"][-1]["content"] == SMALL["prompt"]
    assert backend.sessions[0].settings.prompt == "a red circle at dawn"


@pytest.mark.parametrize("said", ['{"choices":[]}', "nonsense", None])
async def test_an_expansion_that_fails_is_a_bad_gateway(said: str | None) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if said is not None:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode())

    async with (
        tcp_server(handle) as port,
        serving(expansion_url=f"http://127.0.0.1:{port}", expansion_key="e1-secret") as worker,
    ):
        answer = await ask(worker, "/text-to-video", enable_prompt_expansion=True)
    assert answer.status_code == 502
    assert "prompt expansion" in answer.text and "e1-secret" not in answer.text


async def test_a_worker_without_pyav_says_what_to_install(
    worker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    answer = await ask(worker, "/text-to-video")
    assert answer.status_code == 501 and "framewire[video]" in answer.text


async def test_every_endpoint_asks_for_a_key_or_a_token() -> None:
    async with serving(auth="jwt", key="k1", secret="s" * 32) as worker:
        for path in (
            "/text-to-video",
            "/image-to-video",
            "/video-to-video",
            "/text-to-video/stream",
        ):
            for headers in ({}, {"Authorization": "Key wrong"}, {"Authorization": "Bearer x.y.z"}):
                assert (await ask(worker, path, headers)).status_code == 401
        assert (await ask(worker, "/text-to-video", KEY, num_frames=18)).status_code == 200
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
            minted = await client.post(
                worker.http + "/tokens/", headers=KEY, json={"allowed_apps": ["krea-wan-14b"]}
            )
        bearer = {"Authorization": f"Bearer {minted.json()}"}
        assert (await ask(worker, "/text-to-video", bearer, num_frames=18)).status_code == 200
        other = jwt.encode(
            jwt.decode(minted.json(), options={"verify_signature": False})
            | {"allowed_apps": ["other"]},
            "s" * 32,
        )
        refused = await ask(worker, "/text-to-video", {"Authorization": f"Bearer {other}"})
        assert refused.status_code == 401


async def test_pages_of_other_sites_may_not_ask(worker: Running) -> None:
    answer = await ask(worker, "/text-to-video", {"Origin": "https://evil.example"})
    assert answer.status_code == 401


async def test_another_app_is_not_here(worker: Running) -> None:
    assert (await ask(worker, "/fal-ai/other/text-to-video")).status_code == 404


async def test_a_body_that_is_too_large_is_cut_off() -> None:
    async with serving(video_megabytes=1) as worker:
        answer = await ask(worker, "/video-to-video", video_url="data:;base64," + "A" * 2_000_000)
        assert answer.status_code == 413
        answer = await ask(worker, "/text-to-video", padding="A" * 200_000)
        assert answer.status_code == 413


async def test_a_full_worker_says_try_later() -> None:
    """Clips and streams share the places, and a clip that waits too long is sent away."""
    async with serving(max_sessions=1, queue_timeout=0.05) as worker:
        async with connected(worker.url) as viewer:
            await viewer.say(**SMALL, num_blocks=1000, fps=50)
            await viewer.frame()
            answer = await ask(worker, "/text-to-video")
        assert answer.status_code == 429 and answer.headers["retry-after"]


async def test_clips_under_way_are_bounded_and_drain_between_blocks() -> None:
    """The second of two is sent away at once; a drain ends the first after its block."""
    backend = ScriptedBackend()
    go_on, reached = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(reached.set)
        go_on.wait(PATIENCE)

    backend.lane[1] = hold
    async with serving(backend, max_sessions=1) as worker:
        first = asyncio.create_task(ask(worker, "/text-to-video"))
        async with asyncio.timeout(PATIENCE):
            await reached.wait()
        assert (await ask(worker, "/text-to-video")).status_code == 429
        worker.inside.begin_drain()
        async with asyncio.timeout(PATIENCE):
            await worker.inside.draining.wait()
        go_on.set()
        answer = await first
        assert answer.status_code == 503
        assert (await ask(worker, "/text-to-video")).status_code == 503
    assert backend.sessions[0].block == 2 and backend.sessions[0].closed


async def test_a_caller_who_left_costs_no_more_blocks() -> None:
    backend = ScriptedBackend()
    go_on, reached = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(reached.set)
        go_on.wait(PATIENCE)

    backend.lane[1] = hold
    async with serving(backend) as worker:
        asking = asyncio.create_task(ask(worker, "/text-to-video"))
        async with asyncio.timeout(PATIENCE):
            await reached.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while worker.server.server_state.connections:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait(worker.inside.connections, timeout=PATIENCE)
    assert backend.sessions[0].block == 2 and backend.sessions[0].closed


async def test_a_caller_who_leaves_the_line_is_not_in_it_any_more() -> None:
    """Nor does his clip begin once there is a place."""
    backend = ScriptedBackend()
    async with (
        serving(backend, max_sessions=1, queue_timeout=PATIENCE) as worker,
        connected(worker.url) as viewer,
    ):
        await viewer.say(prompt="a", num_blocks=1000, fps=50)
        await viewer.frame()
        asking = asyncio.create_task(ask(worker, "/text-to-video"))
        async with asyncio.timeout(PATIENCE):
            while not worker.inside.admission.waiting:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            while worker.inside.admission.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(backend.sessions) == 1


async def test_a_backend_that_fails_is_an_error_and_leaves_no_file() -> None:
    backend = ScriptedBackend()

    def fail() -> None:
        raise RuntimeError("broken")

    backend.finish[1] = fail
    async with serving(backend) as worker:
        answer = await ask(worker, "/text-to-video")
        assert answer.status_code == 500
        clips = worker.server.config.app.state.clips
        assert list(clips.new_path().parent.iterdir()) == []
        backend.finish.clear()
        assert (await ask(worker, "/text-to-video", num_frames=18)).status_code == 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_clip_that_finds_no_room_is_507_and_the_worker_goes_on(
    worker: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk is told in words; FFmpeg would crash where a header that failed is flushed."""
    clips = worker.server.config.app.state.clips
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    with monkeypatch.context() as patch:
        patch.setattr(clips, "new_path", lambda: tmp_path / "full.mp4")
        answer = await ask(worker, "/text-to-video", num_frames=18)
    assert answer.status_code == 507
    assert answer.json()["detail"] == "the clip cannot be written: No space left on device"
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 (nothing else runs)
    assert (await ask(worker, "/text-to-video", num_frames=18)).status_code == 200


async def test_a_name_that_is_no_clip_is_not_found(worker: Running) -> None:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        for name in ("x.mp4", "..%2f..%2fetc%2fpasswd"):
            assert (await client.get(f"{worker.http}/clips/{name}")).status_code == 404
