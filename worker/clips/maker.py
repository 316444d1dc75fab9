"""Clips: a whole stream through backend, lane and admission, into an MP4 instead of a socket.

Owns the order of things. Both servers' endpoints end here; where the finished file goes, and what a
failure is called over HTTP, is theirs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from framewire.protocol import MAX_MESSAGE_BYTES, Params
from framewire.worker.allowed_hosts import AllowedHosts
from framewire.worker.backends.base import BackendSession, Block, Picture, Settings
from framewire.worker.runtime.resolving import resolved
from framewire.worker.runtime.to_the_end import to_the_end
from framewire.worker.runtime.worker import Draining, Worker

from .errors import CallerLeft, ClipBusy, ClipRefused
from .failures import failures_named
from .fetching import Fetcher, FetchError, FindOwn
from .progress import Progress, Tell, tell_nobody
from .prompt_expansion import ExpansionOff, expand_prompt
from .requests import FRAME_COUNTS, AnyClip, ImageToVideo, VideoToVideo
from .upload import Upload, uploaded
from .video import VideoWriter

MAX_PICTURE_BYTES = MAX_MESSAGE_BYTES
"""Of an `image_url`: as much as a start frame may have on a websocket."""
_AS_CONFIGURED = -1.0
_LOOK_SECONDS = 0.25
"""How often it is looked whether a clip is wanted still."""

logger = logging.getLogger(__name__)

T = TypeVar("T")
Gone = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A finished file, how many frames it has, and the seed that makes it again.

    Attributes:
        warnings: what was asked for and not done.
    """

    path: Path
    frames: int
    seed: int
    warnings: tuple[str, ...] = ()


class ClipMaker:
    """Makes clips on one worker, at most as many at once as it has places.

    Args:
        own: finds files that were uploaded to this worker, by their URLs.
    """

    def __init__(self, worker: Worker, own: FindOwn = lambda _: None) -> None:
        config = worker.config
        self._worker = worker
        hosts = AllowedHosts(config.video_hosts)
        self._videos = Fetcher(hosts, config.video_megabytes * 1_000_000, own)
        self._pictures = Fetcher(hosts, MAX_PICTURE_BYTES, own)
        self._under_way = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request in; in its block, every failure of it is a `ClipError`."""
        if self._under_way >= self._worker.admission.limit:
            raise ClipBusy(f"as many clips are being made as may be ({self._under_way})")
        self._under_way += 1
        try:
            with failures_named():
                yield
        finally:
            self._under_way -= 1

    async def make(
        self,
        request: AnyClip,
        path: Path,
        gone: Gone,
        tell: Tell = tell_nobody,
        patience: float | None = _AS_CONFIGURED,
    ) -> MadeClip:
        """Write the clip that was asked for to `path`.

        Args:
            gone: says whether the caller has left.
            tell: told how far it is.
            patience: seconds to wait for a place; None is for as long as it takes.
        """
        worker = self._worker
        wanted = _Wanted(worker, gone)
        await wanted.check()
        video = picture = None
        if isinstance(request, VideoToVideo):
            video = await self._fetched("video_url", self._videos, request.video_url)
        if isinstance(request, ImageToVideo):
            picture = await self._fetched("image_url", self._pictures, request.image_url)
        prompt, warnings = await self._prompt(request)
        keys = request.model_dump(include={"width", "height", "seed", "strength"})
        params = Params(prompt=prompt, webcam_mode=video is not None, start_frame=picture, **keys)
        if patience is _AS_CONFIGURED:
            patience = worker.config.queue_timeout
        await wanted.check()
        async with worker.connected(), AsyncExitStack() as stack:
            settings = await resolved(worker, wanted, params)
            upload = None
            if video is not None:
                opening = uploaded(video, settings.width, settings.height)
                upload = await wanted.while_it_is(stack.enter_async_context(opening))
                del video, opening
            place = worker.admission.place(patience, _ignore)
            await wanted.while_it_is(stack.enter_async_context(place))
            await wanted.check()
            session = await stack.enter_async_context(worker.opened(settings))
            run = _Run(worker, session, request.num_frames, wanted, tell)
            frames = await run.into(path, settings, upload)
        return MadeClip(path, frames, settings.seed, warnings)

    async def _fetched(self, key: str, fetcher: Fetcher, url: str) -> bytes:
        try:
            data = await fetcher.fetch(url)
        except FetchError as error:
            raise ClipRefused(key, str(error)) from error
        if not data:
            raise ClipRefused(key, "it is empty")
        return data

    async def _prompt(self, request: AnyClip) -> tuple[str, tuple[str, ...]]:
        """What is streamed, and what is to be said about it."""
        if not request.enable_prompt_expansion:
            return request.prompt, ()
        try:
            return await expand_prompt(self._worker.config, request.prompt), ()
        except ExpansionOff as error:
            return request.prompt, (f"enable_prompt_expansion: {error}",)


class _Wanted:
    """Whether a clip is wanted still: its caller is there, and the worker goes on."""

    def __init__(self, worker: Worker, gone: Gone) -> None:
        self._draining = worker.draining
        self._gone = gone

    async def check(self) -> None:
        """Raise Draining or CallerLeft where it is not."""
        if self._draining.is_set():
            raise Draining
        if await self._gone():
            raise CallerLeft("the caller has left")

    async def while_it_is(self, work: Awaitable[T]) -> T:
        """What comes of `work`, which is cancelled where the clip is not wanted any more."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
                await self.check()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Run:
    """One clip: blocks until it has its frames (None: until the video is used up)."""

    def __init__(
        self,
        worker: Worker,
        session: BackendSession,
        num_frames: int | None,
        wanted: _Wanted,
        tell: Tell,
    ) -> None:
        self._worker = worker
        self._session = session
        self._num_frames = num_frames
        self._wanted = wanted
        self._tell = tell
        self._made = self._blocks = 0

    async def into(self, path: Path, settings: Settings, upload: Upload | None) -> int:
        """Write the file; returns its number of frames."""
        width, height = settings.width, settings.height
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._worker.config.session_timeout
        writer = await self._off_loop(lambda: VideoWriter(path, width, height))
        try:
            self._say(settings)
            while await self._block(writer, upload):
                self._blocks += 1
                self._say(settings)
                if loop.time() > deadline:
                    raise TimeoutError
        finally:
            await self._off_loop(writer.close)
            if upload is not None and upload.left_out:
                self._worker.metrics.pictures_dropped.inc(upload.left_out)
                logger.warning("%d damaged packets of an upload were left out", upload.left_out)
        return self._made

    def _say(self, settings: Settings) -> None:
        size = (settings.width, settings.height)
        self._tell(Progress(self._blocks, self._made, self._num_frames, *size, seed=settings.seed))

    async def _block(self, writer: VideoWriter, upload: Upload | None) -> bool:
        """Make one block, unless none is wanted any more."""
        most = FRAME_COUNTS[-1] if self._num_frames is None else self._num_frames
        if self._made >= most:
            return False
        await self._wanted.check()
        pictures: list[Picture] = []
        count = self._session.pictures_wanted()
        if count and upload is not None:
            pictures = await self._wanted.while_it_is(upload.take(count))
            enough = self._num_frames is None and self._made >= FRAME_COUNTS[0]
            if not pictures and enough:
                return False
            pictures = pictures or [upload.last()] * count
        lane_seconds = 0.0

        def make() -> Callable[[], Block]:
            nonlocal lane_seconds
            began = time.perf_counter()
            finish = self._session.next_block(pictures)
            lane_seconds = time.perf_counter() - began
            return finish

        finish, finish_seconds = await self._worker.lane.run(make), 0.0

        def write() -> int:
            nonlocal finish_seconds
            began = time.perf_counter()
            frames = finish().frames[: most - self._made]
            finish_seconds = time.perf_counter() - began
            writer.write(frames)
            return len(frames)

        self._made += await self._off_loop(write)
        self._worker.metrics.block_made(self._worker.backend.name, lane_seconds + finish_seconds)
        return True

    async def _off_loop(self, call: Callable[[], T]) -> T:
        """Run on a thread, and to the end: what a thread uses must not be closed."""
        return await to_the_end(self._worker.in_turn(self, call))


def _ignore(position: int) -> None:
    """Nobody listens for a place in the line."""
