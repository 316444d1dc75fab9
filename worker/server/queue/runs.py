"""A job while it runs: its log, when it started, and why it is to end before its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from framewire.worker.clips.progress import Progress

from .job import Failure, Job, Line


@dataclass(slots=True, eq=False)
class Run:
    """One.

    Attributes:
        on_start: called when it has a place.
        on_news: called after each line of the log.
        begun: its task runs; a cancellation before that would be lost on it.
        stopped: what it ends as where it is cancelled; None puts it back.
    """

    job: Job
    on_start: Callable[[Run], None]
    on_news: Callable[[], None]
    log: list[Line] = field(default_factory=list)
    started: float | None = None
    begun: bool = False
    stopped: Failure | None = None
    task: asyncio.Task[None] | None = None

    def tell(self, progress: Progress) -> None:
        """How far the clip is."""
        if not progress.blocks:
            self.started = time.time()
            self.on_start(self)
            size = f"{progress.width}x{progress.height}"
            self.say(f"started: {size}, seed {progress.seed}")
            return
        of = "" if progress.num_frames is None else f" of {progress.num_frames}"
        self.say(f"block {progress.blocks}: {progress.frames}{of} frames")

    def say(self, message: str, level: str = "INFO") -> None:
        """Write a line into the log."""
        self.log.append(Line.now(message, level))
        self.on_news()

    def stop(self, failure: Failure) -> None:
        """End it, with this instead of a result."""
        self.stopped = failure
        if self.task is not None and self.begun:
            self.task.cancel()

    def shown(self, job: Job) -> Job:
        """Its job's row with the log, which the table has once it has ended.

        Whether it runs is the table's word: who was told so and kills the worker finds it counted.
        """
        return job if job.state.ended else replace(job, log=tuple(self.log))
