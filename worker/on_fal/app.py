"""The worker behind fal: the sessions and clips of the local server, as a `fal.App`.

Deployed by its name in pyproject.toml, whose table fal reads instead of this class's attributes;
both say the same. FAL.md tells how. Imports are absolute because fal also runs this as a file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import fal
from fal.toolkit import File
from fal.toolkit.exceptions import FileUploadException
from fastapi import HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse

from framewire.worker.backends import choose
from framewire.worker.clips.maker import ClipMaker
from framewire.worker.clips.progress import Tell, tell_nobody
from framewire.worker.clips.requests import (
    AnyClip,
    ClipAnswer,
    ClipFile,
    ImageToVideo,
    TextToVideo,
    VideoToVideo,
)
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.clips.errors import clip_errors_as_http
from framewire.worker.server.clips.events import EventStream, clip_events
from framewire.worker.server.logs.plain_lines import PlainLines
from framewire.worker.server.logs.redact import RedactTokens
from framewire.worker.server.websocket import serve_websocket

from .drain_on_signal import DrainOnSignal
from .volume import FAL_VOLUME, gpu_name, use_volume

logger = logging.getLogger(__name__)

_LAST_WORDS = 30
"""Seconds before fal's time limit at which a session is ended in words; fal would just cut it."""


class KreaWan(  # type: ignore[no-untyped-call]
    fal.App, name="krea-wan-14b", python_version="3.11"
):
    """Krea Realtime 14B (or any backend) on fal: streams at `/ws` and `/realtime`, and clips."""

    machine_type: ClassVar[str | list[str]] = ["GPU-B200", "GPU-H200", "GPU-H100"]
    num_gpus = 1
    keep_alive = 300
    min_concurrency = 0
    max_concurrency = 2
    max_multiplexing = 1
    startup_timeout = 1800
    request_timeout = 3600
    termination_grace_period_seconds = 30
    secrets: ClassVar[list[str] | None] = ["HF_TOKEN", "FRAMEWIRE_BACKEND"]
    app_auth = "private"

    uploads: ClassVar[Any] = "fal_v3"
    """Where finished clips go: a repository of fal's toolkit."""

    _worker: Worker | None = None
    _gate: Gate
    _clips: ClipMaker

    async def setup(self) -> None:
        """Load the backend. fal lets no request in before this returns."""
        config = settings_on_fal(os.environ)
        logging.basicConfig(level=config.log_level.upper(), format="%(levelname)s %(message)s")
        for line_by_line in (*logging.getLogger().handlers, logging.getLogger("uvicorn.error")):
            line_by_line.addFilter(RedactTokens())
            line_by_line.addFilter(PlainLines())
        gpu = gpu_name()
        use_volume(FAL_VOLUME, os.environ, gpu)
        backend, why = choose(config.backend, config.model)
        logger.info("settings: %s", json.dumps(config.shown()))
        logger.info("backend %s (%s) on %s", backend.name, why, gpu)
        worker = Worker(config, backend)
        await worker.load()
        self._gate = Gate(config)
        self._clips = ClipMaker(worker)
        self._worker = worker
        DrainOnSignal(worker.drain).install()

    def handle_exit(self) -> None:
        """fal is about to close the sockets: sessions that are not drained yet end themselves."""
        if self._worker is not None:
            self._worker.begin_drain()

    async def teardown(self) -> None:
        """Free the backend; the sessions have ended."""
        if self._worker is not None:
            await self._worker.drain()
            self._worker.close()

    def health(self) -> JSONResponse:
        """`GET /health`: the same as on the local worker."""
        worker = self._served()
        return JSONResponse(worker.status(), status_code=200 if worker.ready else 503)

    @fal.endpoint(
        "/alive",
        health_check=fal.HealthCheck(
            start_period_seconds=30, timeout_seconds=10, failure_threshold=3, call_regularly=True
        ),
    )
    async def alive(self) -> JSONResponse:
        """503, on which fal replaces the runner, once the backend hangs; not while it drains."""
        worker = self._served()
        return JSONResponse(worker.status(), status_code=503 if worker.lane.stuck else 200)

    @fal.endpoint("/ws", is_websocket=True)
    async def ws(self, websocket: WebSocket) -> None:
        """One viewer: the wire of the hosted `krea-wan-14b`."""
        await serve_websocket(self._served(), self._gate, websocket)

    @fal.endpoint("/realtime", is_websocket=True)
    async def realtime(self, websocket: WebSocket) -> None:
        """The same for fal's SDKs, which read every binary message as msgpack."""
        await serve_websocket(self._served(), self._gate, websocket, envelope=True)

    @fal.endpoint("/text-to-video")
    async def text_to_video(self, wanted: TextToVideo, request: Request) -> ClipAnswer:
        """A clip from a prompt."""
        return await self._clip(wanted, request)

    @fal.endpoint("/text-to-video/stream")
    async def text_to_video_stream(self, wanted: TextToVideo, request: Request) -> EventStream:
        """The same with progress, as server-sent events."""
        return await self._clip_events(wanted, request)

    @fal.endpoint("/image-to-video")
    async def image_to_video(self, wanted: ImageToVideo, request: Request) -> ClipAnswer:
        """A clip from a prompt and the picture that it begins with."""
        return await self._clip(wanted, request)

    @fal.endpoint("/image-to-video/stream")
    async def image_to_video_stream(self, wanted: ImageToVideo, request: Request) -> EventStream:
        """The same with progress, as server-sent events."""
        return await self._clip_events(wanted, request)

    @fal.endpoint("/video-to-video")
    async def video_to_video(self, wanted: VideoToVideo, request: Request) -> ClipAnswer:
        """A clip from a prompt and a video."""
        return await self._clip(wanted, request)

    @fal.endpoint("/video-to-video/stream")
    async def video_to_video_stream(self, wanted: VideoToVideo, request: Request) -> EventStream:
        """The same with progress, as server-sent events."""
        return await self._clip_events(wanted, request)

    async def _clip(
        self, wanted: AnyClip, request: Request, tell: Tell = tell_nobody
    ) -> ClipAnswer:
        try:
            self._gate.check_viewer(request.headers.get("authorization", ""), "")
        except Unauthorized as error:
            raise HTTPException(401, str(error)) from error
        with (
            clip_errors_as_http(),
            self._clips.request(),
            tempfile.TemporaryDirectory() as folder,
        ):
            path = Path(folder) / "output.mp4"
            made = await self._clips.make(wanted, path, request.is_disconnected, tell)
            video = await self._uploaded(path)
            return ClipAnswer(video=video, seed=made.seed, warnings=made.warnings)

    async def _clip_events(self, wanted: AnyClip, request: Request) -> EventStream:
        return await clip_events(lambda tell: self._clip(wanted, request, tell), {})

    async def _uploaded(self, path: Path) -> ClipFile:
        try:
            file = await File.from_path_async(path, "video/mp4", repository=self.uploads)
        except FileUploadException as error:
            logger.exception("uploading a clip failed")
            raise HTTPException(502, "the clip was made, but could not be uploaded") from error
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        return ClipFile(url=file.url, file_name=path.name, file_size=size)

    def _served(self) -> Worker:
        assert self._worker is not None, "setup runs first"
        return self._worker


def settings_on_fal(environ: Mapping[str, str]) -> Config:
    """The settings of `FRAMEWIRE_*`, with defaults that fit fal's limits and its gateway.

    Raises:
        ConfigError: as on the local worker.
    """
    defaults = {
        "FRAMEWIRE_HOST": "0.0.0.0",
        "FRAMEWIRE_AUTH": "platform",
        "FRAMEWIRE_NUM_GPUS": str(KreaWan.num_gpus),
        "FRAMEWIRE_MAX_SESSIONS": str(KreaWan.max_multiplexing),
        "FRAMEWIRE_SESSION_TIMEOUT": str(KreaWan.request_timeout - _LAST_WORDS),
        "FRAMEWIRE_GRACE": str(KreaWan.termination_grace_period_seconds - 5),
    }
    return Config.load({**defaults, **environ})
