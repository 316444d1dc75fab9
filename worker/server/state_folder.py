"""The folder of what outlives a worker's process: uploads, and whatever else a restart must find.

One process has it at a time, by a lock that the system lets go of however the process ends.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Self

from framewire.worker.clips.held_folder import HeldFolder, remove_abandoned
from framewire.worker.config import Config
from framewire.worker.tls.folder import SELF_SIGNED

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

_LOCK = "worker.lock"
_PREFIX = "framewire-state-"


class StateFolderError(RuntimeError):
    """The folder that the operator named cannot be used; the message is one line for him."""


class StateFolder:
    """One worker's.

    Where the operator names none it is `~/.local/state/framewire/PORT`, so that a worker that is
    started again finds its own. With port 0, which no restart comes back to, or where that one
    cannot be used, it is a temporary folder that ends with the worker.
    """

    def __init__(self, config: Config) -> None:
        self._named = config.state_folder
        self._port = config.port
        self._path: Path | None = None
        self._lock: int | None = None
        self._temporary: HeldFolder | None = None

    @property
    def path(self) -> Path:
        """The folder, which is there and this process's own once it is open."""
        assert self._path is not None, "open it first"
        return self._path

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Make it and take it; nothing happens where it is open already.

        Raises:
            StateFolderError: the operator's own cannot be made or written to, or another worker
                has it, or it holds something else.
        """
        if self._path is not None:
            return
        if self._named:
            try:
                self._take(Path(self._named).expanduser())
            except (OSError, RuntimeError) as error:
                raise StateFolderError(f"state_folder {self._named}: {_in_words(error)}") from error
            return
        if self._port:
            try:
                self._take(Path.home() / ".local" / "state" / "framewire" / str(self._port))
                return
            except (OSError, RuntimeError) as error:
                logger.warning(
                    "%s: uploads and queued jobs end with this worker; name a folder of its own "
                    "with --state-folder",
                    _in_words(error),
                )
        remove_abandoned(_PREFIX)
        self._temporary = HeldFolder(_PREFIX)
        self._path = self._temporary.path

    def close(self) -> None:
        """Let go of it, and delete it where it is a temporary one."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None
        self._path = None

    def _take(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = {entry.name for entry in path.iterdir()} - {SELF_SIGNED}
        if others and _LOCK not in others:
            # What lies in a worker's folder and is not known to it is deleted.
            reason = (
                "there are files in it that are no worker's: name a new folder, or an empty one"
            )
            raise FileExistsError(None, reason, str(path))
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise BlockingIOError(None, "another worker has it", str(path)) from None
        self._path, self._lock = path, lock


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
