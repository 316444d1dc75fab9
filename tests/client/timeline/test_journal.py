"""What a kept session counts, told message by message."""

from framewire.client.timeline import Journal
from framewire.protocol import Frame, Params, Started, Steer

JPEG = b"\xff\xd8\xff\xdb a picture, and no text"


def started(seed: int) -> Started:
    return Started(
        session_id="s",
        seed=seed,
        width=64,
        height=64,
        num_blocks=9,
        backend="x",
        first_block_frames=6,
        block_frames=12,
        params={"prompt": "a", "seed": seed, "width": 64, "height": 64},
    )


def begun() -> Journal:
    journal = Journal()
    journal.said(Params(prompt="a", seed=1))
    journal.heard(started(1))
    for _ in range(8):
        journal.heard(Frame(JPEG))
    return journal


def test_frames_that_cross_a_reset_are_of_the_stream_that_it_ends() -> None:
    """They make no piece of their own, which would be counted by frames."""
    journal = begun()
    journal.said(Steer(action="reset", seed=2))
    journal.heard(Frame(JPEG))
    journal.said(Steer(image=JPEG))
    journal.heard(started(2))
    journal.heard(Frame(JPEG))
    pieces = journal.timeline().pieces
    assert [(piece.params["seed"], piece.frames) for piece in pieces] == [(1, 9), (2, 1)]
    assert all(piece.is_exact for piece in pieces)


def test_frames_that_were_dropped_unread_are_left_out_from_the_end() -> None:
    """Over two resets in a row as well."""
    journal = begun()
    journal.said(Steer(action="reset", seed=2))
    journal.heard(started(2))
    journal.heard(Frame(JPEG))
    journal.leave_out(3)
    assert [piece.frames for piece in journal.timeline().pieces] == [6]


def test_pictures_are_no_change_on_a_server_that_tells_nothing() -> None:
    """Whatever their bytes are."""
    journal = Journal()
    journal.said(Params(prompt="a", seed=1))
    journal.heard(Frame(JPEG))
    journal.said(Steer(image=JPEG, strength=0.5))
    journal.said(Steer(image=JPEG, action="reset"))
    (piece,) = journal.timeline().pieces
    assert [steer["strength"] for steer in piece.steers] == [0.5]
