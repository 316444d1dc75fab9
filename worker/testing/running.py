"""A worker in a process of its own, for as long as a block lasts; for code that is not async.

Loads nothing of the worker: the command is run.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from framewire.worker.sdk_env.variables import variables
from framewire.worker.settings import ENV_PREFIX
from framewire.worker.tls.trusted import bundle

START_SECONDS = 120.0
STOP_SECONDS = 10.0
_TAIL_LINES = 30


class WorkerStartError(RuntimeError):
    """The worker did not come up; the message has the last lines that it wrote."""


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker that listens on a free port of loopback, and asks for no key.

    Attributes:
        url: of its websocket, such as `ws://127.0.0.1:40123/ws`.
        certificate: PEM of its certificate; None without TLS.
        env: variables that point fal's SDKs at it, for `os.environ` of a program that starts. They
            speak TLS only, so that without it there is but `FAL_KEY`.
    """

    url: str
    certificate: Path | None
    env: Mapping[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        """`127.0.0.1:40123`"""
        return urlsplit(self.url).netloc

    @property
    def http(self) -> str:
        """`http://127.0.0.1:40123`, or with https."""
        return f"{'http' if self.certificate is None else 'https'}://{self.host}"


@contextlib.contextmanager
def running_worker(*options: str, tls: bool = False) -> Iterator[RunningWorker]:
    """Run `framewire-worker serve` with the testcard.

    Args:
        options: more of the options of `serve`, such as `--backend tiny`.

    Raises:
        WorkerStartError: it did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="framewire-") as state:
        command = [sys.executable, "-m", "framewire.worker.cli", "serve", "--json"]
        command += ["--until-stdin-ends", "--state-folder", state]
        command += ["--port", "0", "--backend", "testcard"]
        command += [*(["--self-signed"] if tls else []), *options]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Settings that are meant for another worker do not reach this one.
            env={name: os.environ[name] for name in os.environ if not name.startswith(ENV_PREFIX)},
        )
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        reading = threading.Thread(target=_keep_tail, args=(process.stderr, tail), daemon=True)
        reading.start()
        try:
            yield _described(_first_line(process, reading, tail), Path(state))
        finally:
            _stop(process)
            reading.join()


def _first_line(
    process: subprocess.Popen[bytes], reading: threading.Thread, tail: deque[str]
) -> dict[str, str]:
    assert process.stdout is not None
    too_late = threading.Timer(START_SECONDS, process.kill)
    too_late.start()
    line = process.stdout.readline()
    too_late.cancel()
    if not line:
        process.wait()
        reading.join()
        lines = "\n  ".join(tail)
        raise WorkerStartError(
            f"the worker ended with {process.returncode} before it was ready:\n  {lines}"
        )
    said: dict[str, str] = json.loads(line)
    return said


def _described(said: dict[str, str], state: Path) -> RunningWorker:
    place = urlsplit(said["url"])
    certificate = Path(said["certificate"]) if "certificate" in said else None
    trusted = None if certificate is None else bundle(state, certificate, os.environ)
    found = variables(place.hostname or "", place.port or 0, trusted)
    env = found if certificate else {"FAL_KEY": found["FAL_KEY"]}
    return RunningWorker(said["url"], certificate, env)


def _keep_tail(stream: IO[bytes] | None, tail: deque[str]) -> None:
    assert stream is not None
    with stream:
        tail.extend(line.decode("utf-8", "replace").rstrip() for line in stream)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
