"""The jobs in SQLite: what a worker that is started again finds. Blocking; for one thread at a time.

Knows rows and their order, runs nothing.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import asdict, astuple
from pathlib import Path

from framewire.worker.server.clips.kept import KeptClip

from .job import Failure, Job, Line, State

logger = logging.getLogger(__name__)

MOST_ENDED = 10_000
"""Ended jobs that are remembered; the one that ended first is forgotten first."""
_VERSION = 1
_LOCK_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE jobs (
  "order" INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  endpoint TEXT NOT NULL,
  caller TEXT,
  size INTEGER NOT NULL,
  submitted REAL NOT NULL,
  start_by REAL NOT NULL,
  user_timeout INTEGER NOT NULL,
  state TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  started REAL,
  ended REAL,
  made TEXT,
  failure TEXT,
  log TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX by_state ON jobs (state, "order");
CREATE INDEX by_end ON jobs (ended) WHERE ended IS NOT NULL;
"""


class JobTable:
    """One file. A damaged one, or one of another version, is set aside under another name."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.unreadable-{int(time.time())}")
            logger.error("%s cannot be read (%s): it is now %s", path, error, aside.name)
            for rest in ("", "-wal", "-shm"):
                part = path.with_name(path.name + rest)
                if part.exists():
                    part.rename(aside.with_name(aside.name + rest))
            self._db = _opened(path)

    def close(self) -> None:
        self._db.close()

    def add(self, job: Job) -> Job:
        """Keep a new one; the result has its place in the order."""
        done = self._db.execute(
            "INSERT INTO jobs (id, endpoint, caller, size, submitted, start_by, user_timeout, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.id,
                job.endpoint,
                job.caller,
                job.size,
                job.submitted,
                job.start_by,
                job.user_timeout,
                job.state,
            ),
        )
        assert done.lastrowid is not None
        return self._one('"order" = ?', done.lastrowid) or job

    def find(self, id: str) -> Job | None:
        return self._one("id = ?", id)

    def next_after(self, order: int) -> Job | None:
        """The first job behind `order` that waits."""
        return self._one('state = ? AND "order" > ? ORDER BY "order" LIMIT 1', State.QUEUED, order)

    def ahead_of(self, job: Job) -> int:
        """How many wait in front of it."""
        (count,) = self._db.execute(
            'SELECT count(*) FROM jobs WHERE state = ? AND "order" < ?', (State.QUEUED, job.order)
        ).fetchone()
        return int(count)

    def first_due(self) -> float | None:
        """When the first of those that wait is to have started."""
        (due,) = self._db.execute(
            "SELECT min(start_by) FROM jobs WHERE state = ?", (State.QUEUED,)
        ).fetchone()
        return due if due is None else float(due)

    def overdue(self, now: float) -> list[Job]:
        """Those that wait and were to have started by now."""
        return self._all('state = ? AND start_by <= ? ORDER BY "order"', State.QUEUED, now)

    def unfinished(self) -> list[Job]:
        """Those that wait or run, in order."""
        return self._all('state IN (?, ?) ORDER BY "order"', State.QUEUED, State.RUNNING)

    def begin(self, id: str, now: float) -> None:
        """It runs."""
        self._db.execute(
            "UPDATE jobs SET state = ?, started = ?, runs = runs + 1 WHERE id = ?",
            (State.RUNNING, now, id),
        )

    def put_back(self, id: str, *, counts: bool) -> None:
        """It waits again, in its old place; `counts`: as one of its runs."""
        self._db.execute(
            "UPDATE jobs SET state = ?, started = NULL, runs = max(0, runs - ?) WHERE id = ?",
            (State.QUEUED, 0 if counts else 1, id),
        )

    def end(
        self, id: str, state: State, now: float, come_of_it: KeptClip | Failure, log: Iterable[Line]
    ) -> None:
        """It has ended."""
        made, failure = (
            (asdict(come_of_it), None)
            if isinstance(come_of_it, KeptClip)
            else (None, asdict(come_of_it))
        )
        self._db.execute(
            "UPDATE jobs SET state = ?, ended = ?, made = ?, failure = ?, log = ? WHERE id = ?",
            (
                state,
                now,
                made and json.dumps(made),
                failure and json.dumps(failure),
                json.dumps([astuple(line) for line in log]),
                id,
            ),
        )

    def forget(self, before: float) -> None:
        """Delete what ended before then, and more than `MOST_ENDED`."""
        self._db.execute("DELETE FROM jobs WHERE ended < ?", (before,))
        self._db.execute(
            'DELETE FROM jobs WHERE "order" IN (SELECT "order" FROM jobs WHERE ended IS NOT NULL'
            " ORDER BY ended DESC LIMIT -1 OFFSET ?)",
            (MOST_ENDED,),
        )

    def kept(self) -> list[Job]:
        """Those with a result, the oldest first."""
        return self._all("state = ? ORDER BY ended", State.DONE)

    def _one(self, where: str, *values: object) -> Job | None:
        found = self._all(where, *values)
        return found[0] if found else None

    def _all(self, where: str, *values: object) -> list[Job]:
        return [_job(row) for row in self._db.execute(f"SELECT * FROM jobs WHERE {where}", values)]


def _opened(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError where the file is no such table."""
    db = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"it is of version {version}, this worker's is {_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        (well,) = db.execute("PRAGMA quick_check").fetchone()
        if well != "ok":
            raise sqlite3.DatabaseError("it is damaged")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _job(row: sqlite3.Row) -> Job:
    made, failure = row["made"], row["failure"]
    values = dict(row) | {
        "state": State(row["state"]),
        "user_timeout": bool(row["user_timeout"]),
        "made": None if made is None else _made(made),
        "failure": None if failure is None else Failure(**json.loads(failure)),
        "log": tuple(Line(*each) for each in json.loads(row["log"])),
    }
    return Job(**values)


def _made(text: str) -> KeptClip:
    values = json.loads(text)
    return KeptClip(**values | {"warnings": tuple(values["warnings"])})
