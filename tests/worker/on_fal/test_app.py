"""The fal app serves what the local worker serves, drains, and is what fal's tools accept."""

import base64
import io
import json
import signal
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fal_client
import httpx
import msgpack
import pytest
from fal.api import deploy
from fal.api._sdist import has_local_path
from fal.api.client import SyncServerlessClient
from fal.app import wrap_app
from fal.cli.deploy_check import _build_deployment_check_summary
from httpx_sse import aconnect_sse
from PIL import Image
from support.servers.fal_server import PATIENCE, PREFIX, ROOT, RunningApp, fal_app, fal_run
from support.video_files_made import data_url, seen, video
from support.viewers.raw_viewer import SMALL, Closed, connected, opened

from framewire.client import connect
from framewire.worker.on_fal.app import KreaWan, settings_on_fal

NAME = "krea-wan-14b"


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningApp]:
    monkeypatch.setenv("FRAMEWIRE_BACKEND", "testcard")
    monkeypatch.setenv("FAL_RUNNER_STATE", "")
    async with fal_app() as running:
        yield running


async def test_a_raw_client_streams_from_it(running: RunningApp) -> None:
    """Ready, bare JPEGs, completed, and again on the same socket."""
    async with connected(running.url) as viewer:
        for blocks in (1, 3):
            await viewer.say(prompt="a red circle", num_blocks=blocks, **SMALL)
            received = await viewer.stream()
            assert len(received.frames) == 12 * blocks - 6
            assert all(frame.startswith(b"\xff\xd8") for frame in received.frames)


async def test_our_client_streams_from_it(running: RunningApp) -> None:
    async with connect(running.url, token="any.to.ken") as session:
        await session.start("a red circle", num_blocks=2, seed=5, **SMALL)
        indexes = [frame.index async for frame in session]
    assert indexes == list(range(18))


async def test_fal_client_streams_from_it(
    running: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing changed but the host."""
    monkeypatch.setattr(fal_client.client, "REALTIME_URL_FORMAT", f"ws://{running.netloc}/")
    client = fal_client.AsyncClient(key="id:secret")
    async with client.ws_connect(f"fal-ai/{NAME}", path="/ws", use_jwt=False) as socket:
        assert await socket.recv() == '{"status":"ready"}'
        await socket.send(msgpack.packb({"prompt": "a red circle", "num_blocks": 2, **SMALL}))
        frames = 0
        while isinstance(message := await socket.recv(), bytes):
            frames += 1
        assert frames == 18
        assert json.loads(message)["status"] == "completed"


async def test_clips_are_uploaded_by_fals_toolkit(running: RunningApp) -> None:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        body: dict[str, Any] = {"prompt": "a red circle", **SMALL}
        answers = [
            await client.post(f"{running.http}/text-to-video", json=body | {"num_frames": 30}),
            await client.post(
                f"{running.http}/video-to-video",
                json=body | {"video_url": data_url(video([(0, 99, 0)] * 30))},
            ),
        ]
        wrong = await client.post(f"{running.http}/text-to-video", json=body | {"num_frames": 31})
        private = await client.post(
            f"{running.http}/video-to-video", json=body | {"video_url": "http://10.0.0.1/x.mp4"}
        )
    for answer in answers:
        said = answer.json()
        assert answer.status_code == 200, said
        file = base64.b64decode(said["video"]["url"].partition(",")[2])
        assert len(seen(file).frames) == 30
        assert said["video"]["content_type"] == "video/mp4"
        assert said["video"]["file_size"] == len(file)
        assert isinstance(said["seed"], int)
    assert wrong.status_code == 422 and "18, 30, 42" in wrong.text
    assert private.status_code == 422 and "video_url" in private.text


async def test_every_clip_endpoint_streams_its_progress(running: RunningApp) -> None:
    """What `fal_client.stream` reads: an event a block, then the answer with the uploaded file."""
    data = io.BytesIO()
    Image.new("RGB", (128, 64), (200, 20, 20)).save(data, "PNG")
    image = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    body: dict[str, Any] = {"prompt": "a red circle", "num_frames": 18, **SMALL}
    for endpoint, more in (
        ("text-to-video", {}),
        ("image-to-video", {"image_url": image}),
        ("video-to-video", {"video_url": data_url(video([(0, 99, 0)] * 18))}),
    ):
        async with (
            httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
            aconnect_sse(
                client, "POST", f"{running.http}/{endpoint}/stream", json=body | more
            ) as source,
        ):
            *told, answer = [event.json() async for event in source.aiter_sse()]
        assert [each["frames"] for each in told] == [6, 18]
        file = base64.b64decode(answer["video"]["url"].partition(",")[2])
        assert len(seen(file).frames) == 18


async def test_clips_ask_for_a_key_where_the_operator_wants_one(
    monkeypatch: pytest.MonkeyPatch, running: RunningApp
) -> None:
    """FRAMEWIRE_AUTH=jwt guards an app that fal is told to serve to everybody."""
    monkeypatch.setenv("FRAMEWIRE_AUTH", "jwt")
    monkeypatch.setenv("FRAMEWIRE_KEY", "k1")
    body = {"prompt": "x", "num_frames": 18, **SMALL}
    async with fal_app() as guarded, httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        url = f"{guarded.http}/text-to-video"
        assert (await client.post(url, json=body)).status_code == 401
        answer = await client.post(url, json=body, headers={"Authorization": "Key k1"})
        assert answer.status_code == 200


async def test_health_tells_a_drain_from_a_backend_that_hangs(running: RunningApp) -> None:
    """fal replaces a runner whose health check answers 503: one that drains must not be."""
    worker = running.app._worker
    assert worker is not None
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        fine = await client.get(f"{running.http}/health")
        assert fine.status_code == 200 and fine.json()["backend"] == "testcard"
        assert (await client.post(f"{running.http}/alive")).status_code == 200
        running.app.handle_exit()
        async with opened(running.url) as viewer:
            (said, closed) = (await viewer.end()).messages
            assert said["type"] == "x-fal-error" and closed.code == 1012
        assert (await client.get(f"{running.http}/health")).status_code == 503
        assert (await client.post(f"{running.http}/alive")).status_code == 200
        worker.lane.stuck = True
        assert (await client.post(f"{running.http}/alive")).status_code == 503
        worker.lane.stuck = False


async def test_fal_run_serves_locally_and_a_sigterm_in_mid_stream_drains(tmp_path: Path) -> None:
    """The block under way is sent whole, then the reason in words, then close 1012, then exit.

    fal's server alone would cut the socket at the signal, with neither.
    """
    async with fal_run(tmp_path, FRAMEWIRE_BACKEND="testcard") as run:
        async with connected(run.url) as viewer:
            await viewer.say(prompt="a red circle", num_blocks=1000, fps=60, **SMALL)
            before = await viewer.frame(20)
            run.process.send_signal(signal.SIGTERM)
            after = await viewer.end()
        assert (len(before.frames) + len(after.frames) - 6) % 12 == 0
        said, closed = after.messages[-2:]
        assert said["type"] == "x-fal-error" and "shutting down" in said["reason"]
        assert isinstance(closed, Closed) and closed.code == 1012
        assert await run.exit_code() in (0, -signal.SIGTERM)


def test_pyproject_and_the_class_say_the_same() -> None:
    """A deploy by name reads the one, `fal run FILE` the other, our own limits the class."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["fal"]["apps"][NAME]
    check = table.pop("health_check")
    assert table.pop("python_entry_point") == f"{KreaWan.__module__}:{KreaWan.__qualname__}"
    assert has_local_path(table.pop("requirements"), ROOT)
    assert table.pop("auth") == KreaWan.app_auth
    assert table.pop("machine_type") == KreaWan.machine_type
    assert table.pop("num_gpus") == KreaWan.num_gpus
    assert table == {key: KreaWan.host_kwargs[key] for key in table}
    ours = KreaWan.get_health_check_config()
    assert ours is not None
    assert check == {key: getattr(ours, key) for key in check}


def test_the_deploy_check_accepts_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of `fal deploy --check` that is done before fal itself is asked."""
    monkeypatch.setenv("FAL_KEY", "id:secret")
    monkeypatch.chdir(ROOT)
    prepared = deploy.prepare_deployment(SyncServerlessClient(), (NAME, None))
    summary = _build_deployment_check_summary(prepared, None, source="flag", force_env_build=False)
    assert (summary.app_name, summary.next_auth_mode) == (NAME, "private")
    rows = {row.label: row.after_deploy for row in summary.effective_scale_values}
    assert rows["Max Multiplexing"] == "1" and rows["Request Timeout"].startswith("3600")
    entry = prepared.loaded.function
    assert entry._resolve_entrypoint_target() is KreaWan


def test_fal_can_describe_and_wrap_the_class() -> None:
    """What fal's runner does with it first: the routes, their schemas, the options."""
    paths = KreaWan.build_metadata()["openapi"]["paths"]
    clips = {f"/{kind}-to-video" for kind in ("text", "image", "video")}
    assert clips | {f"{path}/stream" for path in clips} <= set(paths)
    assert {"/ws", "/alive", "/health"} <= set(paths)
    wrapped = wrap_app(KreaWan)
    assert wrapped.app_name == NAME and wrapped.app_auth == "private"


def test_settings_are_the_workers_own_with_defaults_for_fal() -> None:
    """As many sessions as fal sends at once, each ended in words before fal would cut it."""
    settings = settings_on_fal({})
    assert settings.max_sessions == KreaWan.max_multiplexing
    assert settings.session_timeout < KreaWan.request_timeout
    assert settings.grace < KreaWan.termination_grace_period_seconds
    assert (settings.auth, settings.loopback, settings.backend) == ("platform", False, "auto")
    assert settings.alias == NAME and PREFIX.endswith(settings.alias)
    assert settings_on_fal({"FRAMEWIRE_MAX_SESSIONS": "3"}).max_sessions == 3
