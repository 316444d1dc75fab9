"""Temporary folders that are gone after their process, also where it was killed.

A process holds a lock on each of its folders, and the system lets go of it however the process
ends: a folder that can be locked is nobody's. On Windows, which locks no folders, nothing is
removed for others.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_RANDOM_BYTES = 8


class HeldFolder:
    """A new folder in the system's temporary one, held until it is removed.

    Args:
        prefix: of its name, and what `remove_abandoned` finds it by.
    """

    def __init__(self, prefix: str) -> None:
        if sys.platform == "win32":
            self.path = Path(tempfile.mkdtemp(prefix=prefix))
            return
        new = Path(tempfile.mkdtemp(prefix="framewire-new-"))
        self._lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # before others can find it
        self.path = new.rename(new.with_name(prefix + secrets.token_hex(_RANDOM_BYTES)))

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if sys.platform != "win32":
            os.close(self._lock)


def remove_abandoned(prefix: str) -> None:
    """Delete this user's folders of that prefix that no process holds any more.

    Only of names that a `HeldFolder` gives: one that a person has named, or that an older worker
    holds without a lock, stays.
    """
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(prefix + "[0-9a-f]" * (2 * _RANDOM_BYTES)):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
