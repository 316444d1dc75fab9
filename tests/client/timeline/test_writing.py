"""Timelines written: as files that are read again, and as captions."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.timelines.files import KREA, VIDEO, WORKFLOW, entry, scope

from framewire.client.errors import SaveError
from framewire.client.timeline import Timeline, timeline_of
from framewire.client.timeline.captions import captions
from framewire.client.timeline.formats.writing import (
    refuse_other_files,
    save_timeline,
    timeline_text,
)
from framewire.client.timeline.moves import parts_of
from framewire.protocol.steering import BlockShape


def again(timeline: Timeline) -> Timeline:
    return timeline_of(timeline_text(timeline))


@pytest.mark.parametrize(
    "value",
    [
        KREA,
        VIDEO,
        WORKFLOW,
        {"prompts": {"0": "a", "30": "b"}, "max_frames": 60},
        scope()
        | {
            "markers": [
                {"time": 1, "type": "pause", "seconds": 2},
                {"time": 3, "type": "jump", "to": 1, "times": 2},
                {"time": 5, "type": "reset"},
            ]
        },
    ],
)
def test_a_file_of_any_format_is_written_as_2_1_that_plays_the_same(value: Any) -> None:
    first = timeline_of(json.dumps(value))
    second = again(first)
    assert second.format == "Scope timeline 2.1" and second.not_honoured == ()
    for loop in (False, True):
        one, other = (parts_of(each, frames=500, loop=loop) for each in (first, second))
        assert [part.frames for part in one] == [part.frames for part in other]
        assert [part.params for part in one] == [part.params for part in other]
        assert [part.cues for part in one] == [part.cues for part in other]


@given(
    places=st.lists(st.integers(1, 5000), min_size=1, max_size=6, unique=True),
    texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=7, max_size=7),
)
def test_frames_come_back_as_they_were(places: list[int], texts: list[str]) -> None:
    """Seconds are floats, and must not move them."""
    begins = dict(zip(["0", *map(str, sorted(places))], texts, strict=False))
    first = timeline_of(json.dumps({"prompts": begins, "max_frames": 6000}))
    assert parts_of(again(first)) == parts_of(first)


def test_what_is_written_is_what_scope_reads() -> None:
    """Its own fields, and ours beside them only."""
    found = json.loads(timeline_text(timeline_of(json.dumps(VIDEO))))
    assert found["version"] == "2.1"
    assert found["prompts"] == VIDEO["prompts"]
    assert found["settings"] == {
        "pipelineId": "streamdiffusionv2", "inputMode": "video",
        "resolution": {"height": 512, "width": 512}, "denoisingSteps": [700, 500],
        "noiseScale": 0.8, "noiseController": False,
    }  # fmt: skip


def test_captions_say_what_is_shown_from_the_block_in_which_it_lands() -> None:
    value = scope("2.1", entry(0, 3, "a <fox> & an --> owl\nrunning"), entry(3, 6, "b\x1b[2J"))
    parts = parts_of(timeline_of(json.dumps(value)))
    assert captions(parts, BlockShape()) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 00:00:02.625\n"
        "a &lt;fox&gt; &amp; an --&gt; owl running\n"
        "\n"
        "00:00:02.625 --> 00:00:06.000\n"
        "b\\u001b[2J\n"
    )


def test_captions_of_a_blend_name_all_of_it_and_long_ones_have_hours() -> None:
    value = scope(
        "2.1",
        {
            "startTime": 0, "endTime": 7300,
            "prompts": [{"text": "a", "weight": 70}, {"text": "b", "weight": 30}],
        },
    )  # fmt: skip
    text = captions(parts_of(timeline_of(json.dumps(value))), BlockShape())
    assert "00:00:00.000 --> 02:01:40.000\na + b\n" in text


def test_what_cannot_be_put_in_its_place_lies_where_the_error_says(tmp_path: Path) -> None:
    """As where a folder of that name has come meanwhile: the session is not lost."""
    place = tmp_path / "kept.json"
    place.mkdir()
    timeline = timeline_of(json.dumps(KREA))
    with pytest.raises(SaveError, match=r"it lies at .*kept\.part\.json"):
        save_timeline(timeline, place)
    assert timeline_of((tmp_path / "kept.part.json").read_text()).entries == timeline.entries


def test_a_place_that_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="File name too long"):
        refuse_other_files(tmp_path / f"{300 * 'x'}.json")
