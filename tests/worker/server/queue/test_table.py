"""The table of jobs keeps their order and what came of them, and a file that is none loses nothing."""

import sqlite3
import time
from pathlib import Path

import pytest

from framewire.worker.clips.progress import Progress
from framewire.worker.server.clips.kept import KeptClip
from framewire.worker.server.queue import table as tables
from framewire.worker.server.queue.job import Failure, Job, Line, State, new_id
from framewire.worker.server.queue.runs import Run
from framewire.worker.server.queue.table import JobTable


def job(**values: object) -> Job:
    now = time.time()
    given = {
        "order": 0,
        "id": new_id("here"),
        "endpoint": "text-to-video",
        "caller": "192.0.2.1",
        "size": 10,
        "submitted": now,
        "start_by": now + 60,
        "user_timeout": False,
    }
    return Job(**given | values)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> JobTable:
    return JobTable(tmp_path / "jobs.sqlite")


def test_jobs_come_in_the_order_in_which_they_were_added(table: JobTable) -> None:
    added = [table.add(job()) for _ in range(5)]
    assert [each.order for each in added] == sorted(each.order for each in added)
    found, order = [], 0
    while (next_one := table.next_after(order)) is not None:
        found.append(next_one)
        order = next_one.order
    assert found == added
    assert [table.ahead_of(each) for each in added] == [0, 1, 2, 3, 4]
    table.begin(added[0].id, time.time())
    table.end(added[1].id, State.CANCELLED, time.time(), Failure(499, "gone"), [])
    assert [table.ahead_of(each) for each in added[2:]] == [0, 1, 2]
    assert table.next_after(0) == added[2]


def test_what_came_of_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = JobTable(tmp_path / "jobs.sqlite")
    done, failed = table.add(job()), table.add(job(caller=None, user_timeout=True))
    clip = KeptClip("name.mp4", 1234, 7, ("a warning",))
    detail = [{"loc": ["body", "prompt"], "msg": "wrong"}]
    table.begin(done.id, 5.0)
    table.end(done.id, State.DONE, 9.0, clip, [Line("said", "INFO", "now")])
    table.end(failed.id, State.FAILED, 10.0, Failure(422, detail, user_timeout=True), [])
    table.close()
    again = JobTable(tmp_path / "jobs.sqlite")
    read = again.find(done.id)
    assert read is not None and read.made == clip and read.log == (Line("said", "INFO", "now"),)
    assert (read.state, read.started, read.ended, read.runs) == (State.DONE, 5.0, 9.0, 1)
    other = again.find(failed.id)
    assert other is not None and other.failure == Failure(422, detail, user_timeout=True)
    assert other.caller is None and other.user_timeout
    assert again.kept() == [read] and again.unfinished() == []


def test_a_job_that_is_put_back_waits_in_its_old_place(table: JobTable) -> None:
    first, second = table.add(job()), table.add(job())
    table.begin(first.id, time.time())
    assert table.next_after(0) == second
    table.put_back(first.id, counts=False)
    assert table.next_after(0) == first
    table.begin(first.id, time.time())
    table.put_back(first.id, counts=True)
    again = table.next_after(0)
    assert again is not None and (again.id, again.runs, again.started) == (first.id, 1, None)


def test_those_that_wait_too_long_are_found(table: JobTable) -> None:
    late, later = table.add(job(start_by=10.0)), table.add(job(start_by=20.0))
    assert table.first_due() == 10.0
    assert table.overdue(9.0) == [] and table.overdue(10.0) == [late]
    table.begin(late.id, 5.0)
    assert table.first_due() == 20.0 and table.overdue(30.0) == [later]


def test_ended_jobs_are_forgotten_after_a_time_and_beyond_a_number(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_ENDED", 3)
    waits = table.add(job())
    ended = [table.add(job()) for _ in range(6)]
    for at, each in enumerate(ended):
        table.end(each.id, State.FAILED, float(at), Failure(500, "x"), [])
    table.forget(1.0)
    assert [table.find(each.id) is not None for each in ended] == [False] * 3 + [True] * 3
    assert table.find(waits.id) == waits


@pytest.mark.parametrize("kind", ["damaged", "newer"])
def test_a_file_that_cannot_be_read_is_set_aside(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker starts in any case, says it, and nothing is overwritten."""
    path = tmp_path / "jobs.sqlite"
    if kind == "damaged":
        path.write_bytes(b"no table at all " * 500)
    else:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    before = path.read_bytes()
    table = JobTable(path)
    assert table.add(job()).order
    table.close()
    (aside,) = tmp_path.glob("jobs.sqlite.unreadable-*[0-9]")
    assert aside.read_bytes() == before and aside.name in caplog.text
    assert JobTable(path).unfinished()


def test_a_job_is_said_to_run_once_the_table_has_counted_it(table: JobTable) -> None:
    """Not before: a worker that is killed upon that word would not have been ended by this job."""
    waiting = table.add(job())
    run = Run(waiting, on_start=lambda _: None, on_news=lambda: None)
    run.tell(Progress(0, 0, 18, 64, 64, 7))
    before = run.shown(waiting)
    assert (before.state, before.started) == (State.QUEUED, None)
    assert "started" in before.log[0].message
    table.begin(waiting.id, 5.0)
    row = table.find(waiting.id)
    assert row is not None and row.runs == 1
    assert (run.shown(row).state, run.shown(row).started) == (State.RUNNING, 5.0)
