"""Clips: a whole stream through backend, lane and admission, into an MP4 instead of a socket.

Owns the order of things. Both servers' endpoints end here; where the finished file goes, and what a
failure is called over HTTP, is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from framewire.protocol import Params
from framewire.worker.allowed_hosts import AllowedHosts
from framewire.worker.backends.base import (
    BackendSession,
    CapacityError,
    Picture,
    Settings,
    SettingsError,
)
from framewire.worker.runtime.admission import Full
from framewire.worker.runtime.lane import LaneStuck
from framewire.worker.runtime.settings import resolve_settings
from framewire.worker.runtime.worker import Draining, Worker

from .decoding import VideoError
from .errors import (
    BackendHangs,
    CallerLeft,
    ClipBusy,
    ClipNotWritten,
    ClipRefused,
    ClipTooLong,
    HelperFailed,
    NotInstalled,
    WorkerStopping,
)
from .fetching import Fetcher, FetchError
from .prompt_expansion import ExpansionFailed, ExpansionOff, expand_prompt
from .requests import FRAME_COUNTS, TextToVideo, VideoToVideo
from .video import ExtraMissing, VideoReader, VideoWriter, WriteError, require_av

T = TypeVar("T")
Gone = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A finished file, how many frames it has, and the seed that makes it again."""

    path: Path
    frames: int
    seed: int


class ClipMaker:
    """Makes clips on one worker, at most as many at once as it has places."""

    def __init__(self, worker: Worker) -> None:
        config = worker.config
        self._worker = worker
        self._fetcher = Fetcher(
            AllowedHosts(config.video_hosts), config.video_megabytes * 1_000_000
        )
        self._under_way = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request in; in its block, every failure of it is a `ClipError`."""
        if self._under_way >= self._worker.admission.limit:
            raise ClipBusy(f"{self._under_way} clips are being made already")
        self._under_way += 1
        try:
            require_av()
            yield
        except SettingsError as error:
            raise ClipRefused(error.key, str(error)) from error
        except ExpansionOff as error:
            raise ClipRefused("enable_prompt_expansion", str(error)) from error
        except (FetchError, VideoError) as error:
            raise ClipRefused("video_url", str(error)) from error
        except (Full, CapacityError) as error:
            raise ClipBusy(str(error)) from error
        except Draining as error:
            raise WorkerStopping("the worker is shutting down: ask again") from error
        except ExtraMissing as error:
            raise NotInstalled(str(error)) from error
        except ExpansionFailed as error:
            raise HelperFailed(str(error)) from error
        except LaneStuck as error:
            raise BackendHangs("the backend hangs") from error
        except WriteError as error:
            raise ClipNotWritten(str(error)) from error
        except TimeoutError as error:
            raise ClipTooLong("the clip took too long") from error
        finally:
            self._under_way -= 1

    async def text_to_video(self, request: TextToVideo, path: Path, gone: Gone) -> MadeClip:
        """Write the clip of a prompt to `path`. `gone` says whether the caller has left."""
        return await self._make(request, path, gone, None)

    async def video_to_video(self, request: VideoToVideo, path: Path, gone: Gone) -> MadeClip:
        """Write the clip of a prompt and a video to `path`."""
        return await self._make(request, path, gone, await self._fetcher.fetch(request.video_url))

    async def _make(
        self, request: TextToVideo | VideoToVideo, path: Path, gone: Gone, video: bytes | None
    ) -> MadeClip:
        worker = self._worker
        prompt = request.prompt
        if request.enable_prompt_expansion:
            prompt = await expand_prompt(worker.config, prompt)
        keys = request.model_dump(include={"width", "height", "seed", "strength"})
        params = Params(prompt=prompt, webcam_mode=video is not None, **keys)
        if worker.draining.is_set():
            raise Draining
        async with worker.connected(), worker.admission.place(worker.config.queue_timeout, _ignore):
            settings = await worker.in_turn(
                path, lambda: resolve_settings(params, worker.backend.defaults)
            )
            async with worker.opened(settings) as session:
                run = _Run(worker, session, request.num_frames, gone)
                frames = await run.into(path, settings, video)
        return MadeClip(path, frames, settings.seed)


class _Run:
    """One clip: blocks until it has its frames (None: until the video is used up)."""

    def __init__(
        self, worker: Worker, session: BackendSession, num_frames: int | None, gone: Gone
    ) -> None:
        self._worker = worker
        self._session = session
        self._wanted = num_frames
        self._gone = gone
        self._made = 0

    async def into(self, path: Path, settings: Settings, video: bytes | None) -> int:
        """Write the file; returns its number of frames."""
        width, height = settings.width, settings.height
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._worker.config.session_timeout
        writer = await self._off_loop(lambda: VideoWriter(path, width, height))
        reader = None
        try:
            if video is not None:
                reader = await self._off_loop(lambda: VideoReader(video, width, height))
            while await self._block(writer, reader):
                if loop.time() > deadline:
                    raise TimeoutError
        finally:
            if reader is not None:
                await self._off_loop(reader.close)
            await self._off_loop(writer.close)
        return self._made

    async def _block(self, writer: VideoWriter, reader: VideoReader | None) -> bool:
        """Make one block, unless none is wanted any more."""
        most = FRAME_COUNTS[-1] if self._wanted is None else self._wanted
        if self._made >= most:
            return False
        if self._worker.draining.is_set():
            raise Draining
        if await self._gone():
            raise CallerLeft("the caller has left")
        pictures: list[Picture] = []
        count = self._session.pictures_wanted()
        if count and reader is not None:
            pictures = await self._off_loop(lambda: reader.take(count))
            enough = self._wanted is None and self._made >= FRAME_COUNTS[0]
            if not pictures and enough:
                return False
            pictures = pictures or [reader.last()] * count
        finish = await self._worker.lane.run(lambda: self._session.next_block(pictures))

        def write() -> int:
            frames = finish().frames[: most - self._made]
            writer.write(frames)
            return len(frames)

        self._made += await self._off_loop(write)
        self._worker.metrics.blocks.inc()
        return True

    async def _off_loop(self, call: Callable[[], T]) -> T:
        """Run on a thread, and to the end: what a thread uses must not be closed."""
        running = asyncio.ensure_future(self._worker.in_turn(self, call))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _ignore(position: int) -> None:
    """Nobody listens for a place in the line."""
