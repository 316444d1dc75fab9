"""Every reason why there is no clip has a status of its own over HTTP."""

import inspect

import pytest
from fastapi import HTTPException

from framewire.worker.clips import errors
from framewire.worker.clips.errors import ClipBusy, ClipError, ClipRefused
from framewire.worker.server.clips.errors import clip_errors_as_http

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ClipError) and kind not in (ClipError, ClipRefused)
]


def answered(error: ClipError) -> HTTPException:
    with pytest.raises(HTTPException) as caught, clip_errors_as_http():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_reason_is_told_in_its_own_words(kind: type[ClipError]) -> None:
    """One that the table lacks would fail as a KeyError, which tells the caller nothing."""
    answer = answered(kind("why it was"))
    assert 400 <= answer.status_code < 600 and answer.detail == "why it was"
    assert (answer.headers == {"Retry-After": "5"}) == (kind is ClipBusy)


def test_no_two_reasons_share_a_status() -> None:
    statuses = [answered(kind("why")).status_code for kind in KINDS]
    assert len({422, *statuses}) == len(KINDS) + 1


def test_a_refused_request_names_the_value_to_change_as_pydantic_does() -> None:
    answer = answered(ClipRefused("video_url", "not a video"))
    assert answer.status_code == 422
    assert answer.detail == [
        {"type": "value_error", "loc": ["body", "video_url"], "msg": "video_url: not a video"}
    ]


def test_what_is_no_clips_error_passes_through() -> None:
    with pytest.raises(ValueError, match="mine"), clip_errors_as_http():
        raise ValueError("mine")
