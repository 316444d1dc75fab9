"""The bench's processes: one that serves and one that reads, so that the server's CPU is its own.

Each runs in a fresh interpreter and ends with the block that started it. They speak over pipes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.config import Config
from framewire.worker.server.app import create_app
from framewire.worker.server.on_uvicorn.server import Server

from .content import frames_of, planes_of
from .gauges import CountingMetrics, Deliveries, Window
from .plain import plain_app
from .still import StillBackend
from .viewers import view

Way = Literal["plain", "framewire", "testcard"]
START_TIMEOUT = 60.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Setup:
    """What is served, how, and to how many.

    Attributes:
        way: `plain` begins with a decoder's float tensor; `framewire` with what becomes of it, as
            backends hand it over; `testcard` paints.
        pause: seconds between two blocks of a session; 0 for as fast as can be. Not for the
            test card.
    """

    way: Way
    content: str
    width: int
    height: int
    sessions: int = 1
    pause: float = 0.0


class ServingProcess:
    """What the bench holds of a running server."""

    def __init__(self, pipe: Connection, url: str) -> None:
        self.url = url
        self._pipe = pipe

    def window(self, blocks: int, timeout: float) -> Window:
        """What the next `blocks` deliveries cost the server.

        Raises:
            TimeoutError: they took longer than `timeout` seconds.
        """
        self._pipe.send((blocks, timeout))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Window)
        return answer


@contextmanager
def serving(setup: Setup) -> Iterator[ServingProcess]:
    """A server of its own process, for as long as the block lasts.

    Raises:
        TimeoutError: it does not listen in time.
    """
    with started(_serve, setup, timeout=START_TIMEOUT) as (pipe, port):
        yield ServingProcess(pipe, f"ws://127.0.0.1:{port}/ws")


@contextmanager
def viewing(url: str, setup: Setup) -> Iterator[None]:
    """The viewers, which read whatever comes, in one process, while the block lasts."""
    with started(view, url, setup.sessions, setup.width, setup.height, timeout=START_TIMEOUT):
        yield


@contextmanager
def started(
    target: Callable[..., None], *args: object, timeout: float
) -> Iterator[tuple[Connection, Any]]:
    """Run `target(pipe, *args)` in a process of its own until the block ends.

    Yields:
        Our end of the pipe, and the first thing that came through it.

    Raises:
        TimeoutError: nothing came within `timeout` seconds.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_tied, args=(target, theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(timeout):
            raise TimeoutError(f"{target.__name__}: nothing came within {timeout:g} s")
        yield ours, ours.recv()
    finally:
        process.kill()
        process.join()
        ours.close()


def _tied(target: Callable[..., None], *args: object) -> None:
    """Run `target`, and end with the process that started this one even where that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    target(*args)


def _serve(pipe: Connection, setup: Setup) -> None:
    config = Config(port=0, max_sessions=setup.sessions, max_connections=setup.sessions + 1)
    deliveries = Deliveries()
    frames = frames_of(setup.content, setup.width, setup.height)
    match setup.way:
        case "plain":
            app = plain_app(planes_of(frames), deliveries.add, setup.pause)
        case "testcard":
            app = create_app(config, TestcardBackend())
        case "framewire":
            app = create_app(config, StillBackend(frames, setup.pause))

    def listening(port: int) -> None:
        if setup.way != "plain":
            app.state.worker.metrics = CountingMetrics(deliveries)
        pipe.send(port)
        threading.Thread(target=_answer, args=(pipe, deliveries), daemon=True).start()

    Server(config, app, listening).run()


def _answer(pipe: Connection, deliveries: Deliveries) -> None:
    """Answer `ServingProcess.window`, beside the event loop."""
    while True:
        try:
            pipe.send(deliveries.window(*pipe.recv()))
        except TimeoutError as error:
            pipe.send(error)
        except EOFError:
            return
