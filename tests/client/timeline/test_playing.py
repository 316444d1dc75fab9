"""What a played timeline tells of the frames of a session."""

from collections.abc import AsyncIterator
from typing import Unpack

from framewire.client.frames import Frame
from framewire.client.options import StartOptions, SteerOptions
from framewire.client.timeline.moves import Part
from framewire.client.timeline.playing import Playing
from framewire.client.timeline.shown import Change
from framewire.protocol import Started, Steered


class Told:
    """A session whose one block has six frames, and shows a change that is made by hand at once."""

    def __init__(self) -> None:
        self.playing: Playing | None = None

    async def start(self, prompt: str | None = None, **options: Unpack[StartOptions]) -> None:
        assert self.playing is not None
        self.playing.saw_event(
            Started(
                session_id="s",
                seed=1,
                width=64,
                height=64,
                num_blocks=1,
                backend="testcard",
                first_block_frames=6,
                block_frames=12,
            )
        )

    async def steer(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> bool:
        return True

    async def reset(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> None: ...

    async def end(self) -> bool:
        return True

    async def __aiter__(self) -> AsyncIterator[Frame]:
        assert self.playing is not None
        await self.playing.steer("strength 0.2", strength=0.2)
        self.playing.saw_event(Steered(block=0, prompt_version=1, applied=("strength",)))
        for index in range(6):
            yield Frame(index, 0, b"", received_at=float(index))


async def test_a_change_is_shown_by_the_first_frame_that_is_not_left_out() -> None:
    """Of a clip whose first picture is sent more than once the first frames are left out: to say that
    a change is shown where no frame has been shown yet would be wrong."""
    told: list[tuple[Change, int]] = []
    session = Told()
    playing = Playing(
        session,
        [Part({"prompt": "a fox"})],
        on_shown=lambda change: told.append((change, playing.shown)),
        takes=lambda frame: frame.index >= 3,
    )
    session.playing = playing
    assert [frame.index async for frame in playing] == [0, 1, 2]
    ((change, shown_before),) = told
    assert (change.shown_at, shown_before) == (3.0, 0)
