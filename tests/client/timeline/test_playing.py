"""What a played timeline tells of the frames of a session, and what is kept of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Unpack

from framewire.client.frames import Frame
from framewire.client.options import StartOptions, SteerOptions
from framewire.client.timeline import Journal
from framewire.client.timeline.moves import Part
from framewire.client.timeline.playing import Playing
from framewire.client.timeline.shown import Change
from framewire.protocol import Frame as WireFrame
from framewire.protocol import Started, Steered

STARTED = Started(
    session_id="s",
    seed=1,
    width=64,
    height=64,
    num_blocks=9,
    backend="testcard",
    first_block_frames=6,
    block_frames=12,
    params={"prompt": "a fox", "seed": 1, "width": 64, "height": 64},
)


class Told:
    """A session that tells of its stream, and has so many frames."""

    def __init__(self, frames: int, heard: Callable[[Started | WireFrame], None]) -> None:
        self.frames = frames
        self._heard = heard
        self.playing: Playing | None = None

    async def start(self, prompt: str | None = None, **options: Unpack[StartOptions]) -> None:
        self.begin()

    def begin(self) -> None:
        """The worker says that a stream begins."""
        assert self.playing is not None
        self._heard(STARTED)
        self.playing.saw_event(STARTED)

    async def steer(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> bool:
        return True

    async def reset(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> None: ...

    async def end(self) -> bool:
        return True

    async def by_hand(self) -> None:
        """What is typed before the first frame."""

    async def __aiter__(self) -> AsyncIterator[Frame]:
        await self.by_hand()
        for index in range(self.frames):
            self._heard(WireFrame(b""))
            yield Frame(index, 0, b"", received_at=float(index))


class Steering(Told):
    async def by_hand(self) -> None:
        assert self.playing is not None
        await self.playing.steer("strength 0.2", strength=0.2)
        self.playing.saw_event(Steered(block=0, prompt_version=1, applied=("strength",)))


class Resetting(Told):
    async def by_hand(self) -> None:
        assert self.playing is not None
        await self.playing.reset("seed 5", seed=5)
        self.begin()


async def test_a_change_is_shown_by_the_first_frame_that_is_not_left_out() -> None:
    """Of a clip whose first picture is sent more than once the first frames are left out: to say that
    a change is shown where no frame has been shown yet would be wrong."""
    told: list[tuple[Change, int]] = []
    session = Steering(6, lambda message: None)
    playing = session.playing = Playing(
        session,
        [Part({"prompt": "a fox"})],
        on_shown=lambda change: told.append((change, playing.shown)),
        takes=lambda frame: frame.index >= 3,
    )
    assert [frame.index async for frame in playing] == [0, 1, 2]
    ((change, shown_before),) = told
    assert (change.shown_at, shown_before) == (3.0, 0)


async def test_a_reset_before_the_first_frame_shows_with_that() -> None:
    told: list[str] = []
    session = Resetting(6, lambda message: None)
    playing = session.playing = Playing(
        session, [Part({"prompt": "a fox"})], on_shown=lambda change: told.append(change.when)
    )
    assert len([frame async for frame in playing]) == 6
    assert told == ["seed 5"]


async def test_of_a_session_that_is_left_early_the_pauses_are_kept_that_were_shown() -> None:
    """As far as they were."""
    journal = Journal()
    session = Told(100, journal.heard)
    part = Part({"prompt": "a fox"}, frames=100, holds=[(10, 5), (35, 30), (64, 2)])
    playing = session.playing = Playing(session, [part], journal=journal)
    async with aclosing(aiter(playing)) as frames:
        async for frame in frames:
            if frame.index + 1 == 50:
                break
    (piece,) = journal.timeline().pieces
    assert (piece.frames, piece.holds) == (35, ((10, 5), (35, 10)))
