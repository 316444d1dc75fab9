"""An id says which worker knows the job, and nobody can guess it."""

import re

import pytest

from framewire.worker.naming import name_in_ids
from framewire.worker.server.queue.job import Failure, new_id


def test_ids_begin_with_the_workers_name_and_are_never_the_same() -> None:
    ids = {new_id("gpu-3") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"gpu-3-[0-9a-f]{48}", each) for each in ids)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gpu-3.example", "gpu-3.example"),
        ("a/b?c#d e", "a-b-c-d-e"),
        ("..", "worker"),
        ("рабочий", "worker"),
        ("x" * 200, "x" * 63),
    ],
)
def test_a_name_is_made_fit_for_an_url(name: str, shown: str) -> None:
    assert name_in_ids(name) == shown


def test_a_failure_is_told_in_one_line_that_names_what_is_wrong() -> None:
    wrong = [
        {"loc": ["body", "prompt"], "msg": "Value error, must not be blank"},
        {"loc": ["body", "video_url"], "msg": "video_url: not a video"},
        {"loc": ["body"], "msg": "Invalid JSON"},
    ]
    words = "prompt: must not be blank; video_url: not a video; Invalid JSON"
    assert Failure(422, wrong).words == words
    assert Failure(500, "it broke").words == "it broke"
