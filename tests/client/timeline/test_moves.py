"""Where entries, markers and loops lie in what is shown, counted in frames."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framewire.client.errors import TimelineError
from framewire.client.timeline import Entry, Marker, Moment, Piece, Timeline, WeightedText
from framewire.client.timeline.landing import blocks_of, landings
from framewire.client.timeline.moves import Part, parts_of, shown_frames
from framewire.client.timeline.spans import entries_of_pieces
from framewire.protocol.steering import BlockShape


def timeline(*lengths: float, markers: tuple[Marker, ...] = (), end: bool = True) -> Timeline:
    """Entries a, b, c and so on of so many seconds."""
    entries, at = [], 0.0
    for index, seconds in enumerate(lengths):
        goes_on = not end and index + 1 == len(lengths)
        stop = None if goes_on else Moment(at + seconds)
        entries.append(Entry(Moment(at), stop, (WeightedText(chr(97 + index)),)))
        at += seconds
    return Timeline(tuple(entries), "made", markers=markers)


def told(parts: list[Part]) -> list[tuple[Any, ...]]:
    """Each stream: prompt, changes by frame, frames and held pictures."""
    return [
        (
            part.params["prompt"],
            [(cue.at, cue.values["prompt"]) for cue in part.cues],
            part.frames,
            part.holds,
        )
        for part in parts
    ]


def test_seconds_are_frames_at_the_rate_of_the_video() -> None:
    assert told(parts_of(timeline(3, 3))) == [("a", [(48, "b")], 96, [])]
    assert told(parts_of(timeline(3, 3), fps=24)) == [("a", [(72, "b")], 144, [])]


@pytest.mark.parametrize(
    ("shape", "block", "begins"), [((6, 12), 4, 42), ((9, 12), 4, 45), ((5, 4), 11, 45)]
)
def test_a_change_lands_in_the_block_that_contains_its_frame(
    shape: tuple[int, int], block: int, begins: int
) -> None:
    parts = parts_of(timeline(3, 3))
    _, change = landings(parts, BlockShape(*shape))
    assert (change.frame, change.block, change.begins) == (48, block, begins)
    assert blocks_of(parts, BlockShape(*shape)) == {12: 9, 4: 24}[shape[1]]


@given(first=st.integers(1, 20), later=st.integers(1, 20), frame=st.integers(0, 500))
def test_the_block_of_a_frame_contains_it(first: int, later: int, frame: int) -> None:
    """By the counts of frames before it and with it, for any shape."""
    shape = BlockShape(first, later)
    block = shape.block_of(frame)
    assert shape.frames(block) <= frame < shape.frames(block + 1)
    assert shape.blocks_for(frame + 1) == block + 1


def test_what_has_no_end_is_ended_by_the_most_frames() -> None:
    endless = timeline(3, 3, end=False)
    assert shown_frames(parts_of(endless)) is None
    assert told(parts_of(endless, frames=60)) == [("a", [(48, "b")], 60, [])]
    assert told(parts_of(endless, frames=48)) == [("a", [], 48, [])]


def test_a_loop_goes_on_at_the_start_without_a_cut() -> None:
    found = told(parts_of(timeline(1, 1), loop=True, frames=80))
    assert found == [("a", [(16, "b"), (32, "a"), (48, "b"), (64, "a")], 80, [])]


def test_a_reset_begins_another_stream_with_the_prompt_of_the_moment() -> None:
    marks = (Marker(Moment(1), "reset"),)
    assert told(parts_of(timeline(2, 1, markers=marks))) == [
        ("a", [], 16, []),
        ("a", [(16, "b")], 32, []),
    ]


def test_a_reset_where_an_entry_begins_begins_with_it() -> None:
    marks = (Marker(Moment(2), "reset"),)
    assert told(parts_of(timeline(2, 1, markers=marks))) == [("a", [], 32, []), ("b", [], 16, [])]


@pytest.mark.parametrize(
    ("most", "frames", "holds"),
    [
        (1000, 42, [(0, 2), (18, 32)]),
        (76, 42, [(0, 2), (18, 32)]),
        (60, 26, [(0, 2), (18, 32)]),
        (30, 18, [(0, 2), (18, 10)]),
        (20, 18, [(0, 2)]),
        (2, 1, [(0, 1)]),
        (1, 1, []),
    ],
)
def test_a_limit_counts_the_pauses_of_a_kept_session_as_well(
    most: int, frames: int, holds: list[tuple[int, int]]
) -> None:
    """And leaves out none that lie within it."""
    piece = Piece(params={"prompt": "a"}, steers=(), frames=42, holds=((18, 32), (0, 2)))
    kept = Timeline(entries=entries_of_pieces([piece]), format="kept", pieces=(piece,))
    (part,) = parts_of(kept, frames=most)
    assert (part.frames, part.holds) == (frames, holds)
    assert shown_frames([part]) == min(most, 76)


def test_a_pause_holds_a_picture_and_the_stream_goes_on_behind_it() -> None:
    """Frames of the stream are counted without the held ones; all together with them."""
    marks = (Marker(Moment(1), "pause", seconds=2),)
    parts = parts_of(timeline(1, 1, markers=marks))
    assert told(parts) == [("a", [(16, "b")], 32, [(16, 32)])]
    assert shown_frames(parts) == 64
    assert shown_frames(parts_of(timeline(1, 1, markers=marks), frames=20)) == 20


def test_a_jump_goes_elsewhere_as_often_as_it_says() -> None:
    back = (Marker(Moment(2), "jump", to=Moment(1), times=2),)
    found = told(parts_of(timeline(1, 1, markers=back)))
    assert found == [("a", [(16, "b")], 64, [])], "b is shown three times"
    ahead = (Marker(Moment(0.5), "jump", to=Moment(1.5)),)
    assert told(parts_of(timeline(1, 1, markers=ahead))) == [("a", [(8, "b")], 16, [])]


def test_markers_and_entries_of_one_moment_all_count() -> None:
    marks = (Marker(Moment(1), "pause", seconds=1), Marker(Moment(1), "reset"))
    assert told(parts_of(timeline(1, 1, markers=marks))) == [
        ("a", [], 16, [(16, 16)]),
        ("b", [], 16, []),
    ]


def test_what_shows_no_frame_is_refused_and_a_loop_without_one_too() -> None:
    with pytest.raises(TimelineError, match="less than a frame"):
        parts_of(timeline(0.01))
    nowhere = timeline(1, 1, markers=(Marker(Moment(0), "jump", to=Moment(2)),))
    with pytest.raises(TimelineError, match="without a frame between"):
        parts_of(nowhere, loop=True, frames=10)


seconds = st.floats(0, 8)
markers = st.lists(
    st.builds(Marker, at=st.builds(Moment, seconds), kind=st.just("reset"))
    | st.builds(
        Marker, at=st.builds(Moment, seconds), kind=st.just("pause"), seconds=st.floats(0, 3)
    )
    | st.builds(
        Marker,
        at=st.builds(Moment, seconds),
        kind=st.just("jump"),
        to=st.builds(Moment, seconds),
        times=st.integers(1, 3),
    ),
    max_size=5,
)


@given(
    lengths=st.lists(st.floats(0.1, 3), min_size=1, max_size=4),
    marks=markers,
    loop=st.booleans(),
    frames=st.integers(1, 300),
)
def test_whatever_the_markers_the_frames_are_no_more_than_asked_for(
    lengths: list[float], marks: list[Marker], loop: bool, frames: int
) -> None:
    """Exactly as many in a loop; changes stand in order and within their streams."""
    last = sum(lengths)
    inside = tuple(
        sorted(
            (mark for mark in marks if mark.at.at <= last and (mark.to or mark.at).at <= last),
            key=lambda mark: mark.at.at,
        )
    )
    try:
        parts = parts_of(timeline(*lengths, markers=inside), loop=loop, frames=frames)
    except TimelineError as error:
        assert "frame" in error.reason
        return
    shown = shown_frames(parts)
    assert shown is not None and 0 < shown <= frames
    assert shown == frames or not loop
    for part in parts:
        places = [cue.at for cue in part.cues]
        assert places == sorted(places)
        assert all(0 <= place <= (part.frames or 0) for place in places)


def test_more_changes_than_can_be_planned_are_refused_and_no_stream_without_end() -> None:
    short = timeline(1 / 16, 1 / 16)
    assert shown_frames(parts_of(short, frames=5_000, loop=True)) == 5_000
    with pytest.raises(TimelineError, match="has more than 20000 changes"):
        parts_of(short, frames=50_000, loop=True)
