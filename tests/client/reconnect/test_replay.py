"""One stream: whatever connections it takes, the frames come to what was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from framewire.client.reconnect.replay import Replay, Shape
from framewire.protocol import Completed, Frame, Params, Steer

JPEG = b"\xff\xd8"


class _Worker:
    """What a worker of this shape sends for params, in an envelope or plain."""

    def __init__(self, shape: Shape, plain: bool) -> None:
        self.shape = shape
        self.plain = plain

    def frames(self, params: Params) -> list[Frame]:
        count = self.shape.frames(params.num_blocks or 20)
        if self.plain:
            return [Frame(JPEG)] * count
        return [
            Frame(JPEG, index=index, block=self.shape.block_of(index), prompt_version=1)
            for index in range(count)
        ]


def _watch(worker: _Worker, blocks: int, losses: list[int]) -> list[Frame]:
    """What the caller gets when the n-th connection is lost after so many frames."""
    replay = Replay()
    params = replay.start(Params(prompt="a fox", num_blocks=blocks))
    seen: list[Frame] = []
    for lost_after in [*losses, None]:
        sent = worker.frames(params)
        for frame in sent[:lost_after]:
            taken = replay.take(frame)
            if isinstance(taken, Frame):
                seen.append(taken)
        if lost_after is None:
            replay.take(Completed())
        if replay.is_over:
            break
        params, _ = replay.requests()
        assert params.seed is not None
    return seen


@given(blocks=st.integers(1, 40), losses=st.lists(st.integers(0, 100), max_size=8), plain=...)
def test_any_losses_of_the_hosted_shape_come_to_the_same_count(
    blocks: int, losses: list[int], plain: bool
) -> None:
    """12·B - 6 frames, numbered without a gap where they are numbered."""
    seen = _watch(_Worker(Shape(), plain), blocks, losses)
    assert len(seen) == 12 * blocks - 6
    if not plain:
        assert [frame.index for frame in seen] == list(range(12 * blocks - 6))
        found = [frame.block for frame in seen]
        assert found == sorted(found, key=lambda block: -1 if block is None else block)


@given(
    first=st.integers(1, 24),
    later=st.integers(1, 24),
    blocks=st.integers(3, 20),
    losses=st.lists(st.integers(0, 100), max_size=4),
)
def test_another_shape_is_learned_from_the_first_whole_blocks(
    first: int, later: int, blocks: int, losses: list[int]
) -> None:
    """From the block numbers in the envelopes; two blocks must have been seen before a loss."""
    shape = Shape(first, later)
    seen = _watch(_Worker(shape, plain=False), blocks, [first + later + 1, *losses])
    assert [frame.index for frame in seen] == list(range(shape.frames(blocks)))


@given(first=st.integers(1, 24), later=st.integers(1, 24), frames=st.integers(1, 500))
def test_so_many_blocks_are_enough_and_not_too_many(first: int, later: int, frames: int) -> None:
    shape = Shape(first, later)
    blocks = shape.blocks_for(frames)
    assert shape.frames(blocks) >= frames
    assert blocks == 1 or shape.frames(blocks - 1) < frames
    assert shape.block_of(frames - 1) == blocks - 1


def test_prompts_are_counted_on() -> None:
    """The second worker's first prompt is the caller's third; with pictures, repeats are none."""
    replay = Replay()
    replay.start(Params(prompt="a fox", num_blocks=4, fmt="msgpack"))
    for steer in (
        Steer(prompt="a cat"),
        Steer(prompt="a cat"),
        Steer(prompt="a fox", image=JPEG),  # as in the params: repeated with each picture
        Steer(prompt="a dog", image=JPEG),
    ):
        replay.change(steer)
    replay.take(Frame(JPEG, index=0, block=0, prompt_version=3))
    params, (picture,) = replay.requests()
    assert (params.prompt, params.webcam_mode, picture.prompt) == ("a dog", True, None)
    taken = replay.take(Frame(JPEG, index=0, block=0, prompt_version=1))
    assert isinstance(taken, Frame)
    assert (taken.index, taken.block, taken.prompt_version) == (1, 1, 3)


def test_frames_from_before_a_reset_keep_their_numbers() -> None:
    """Of a replayed stream too: they still arrive for a while, then it begins at 0."""
    replay = Replay()
    replay.start(Params(prompt="a fox", num_blocks=4))
    for index in range(8):
        replay.take(Frame(JPEG, index=index, block=index // 6))
    replay.requests()
    replay.take(Frame(JPEG, index=0, block=0))
    sent = replay.change(Steer(action="reset", seed=5))
    assert (sent.action, sent.seed, sent.num_blocks) == ("reset", 5, 4)
    found = [replay.take(Frame(JPEG, index=index, block=0)) for index in (1, 2, 0, 1)]
    assert [frame.index for frame in found if isinstance(frame, Frame)] == [9, 10, 0, 1]
    assert replay.frames == 2
    params, _ = replay.requests()
    assert (params.seed, params.num_blocks) == (5, 4)
