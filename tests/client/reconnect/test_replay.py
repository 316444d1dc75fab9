"""One stream: whatever connections it takes, the frames come to what was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from framewire.client.reconnect.counts import Shape
from framewire.client.reconnect.replay import Replay
from framewire.protocol import Completed, Error, Frame, Params, Started, Steer
from framewire.protocol.limits import MAX_HELD

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
    (sent,) = replay.change(Steer(action="reset", seed=5))
    assert (sent.action, sent.seed, sent.num_blocks) == ("reset", 5, 4)
    found = [replay.take(Frame(JPEG, index=index, block=0)) for index in (1, 2, 0, 1)]
    assert [frame.index for frame in found if isinstance(frame, Frame)] == [9, 10, 0, 1]
    assert replay.frames == 2
    params, _ = replay.requests()
    assert (params.seed, params.num_blocks) == (5, 4)


def _streaming(*, blocks: int = 0, **params: object) -> Replay:
    """A stream of which so many blocks of the hosted shape have come."""
    replay = Replay()
    replay.start(Params.model_validate({"prompt": "A", "seed": 1, "num_blocks": 99, **params}))
    _make(replay, *range(blocks))
    return replay


def _make(replay: Replay, *blocks: int, version: int | None = None) -> list[Frame]:
    """These blocks come, counted by the connection."""
    frames = [
        replay.take(Frame(JPEG, index=index, block=block, prompt_version=version))
        for block in blocks
        for index in (range(6) if block == 0 else range(12 * block - 6, 12 * block + 6))
    ]
    return [frame for frame in frames if isinstance(frame, Frame)]


def test_a_steered_noise_controller_is_asked_for_again() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(noise_controller=False))
    params, _ = replay.requests()
    assert params.noise_controller is False


def test_a_prompt_repeated_with_pictures_does_not_undo_what_a_second_stream_began_with() -> None:
    replay = Replay()
    for prompt in ("A", "B"):
        replay.start(Params(prompt=prompt, seed=1, webcam_mode=True, num_blocks=1))
        replay.change(Steer(image=JPEG, prompt="X"))
        if prompt == "A":
            _make(replay, 0)
            replay.take(Completed())
    params, _ = replay.requests()
    assert params.prompt == "B"


def test_of_too_many_held_maps_the_first_are_kept_as_the_worker_does() -> None:
    replay = _streaming()
    for number in range(MAX_HELD + 6):
        replay.change(Steer(prompt=f"p{number}", at_block=10 + number))
    _, held = replay.requests()
    assert [steer.prompt for steer in held] == [f"p{number}" for number in range(MAX_HELD)]


def test_two_prompts_before_one_block_are_one_change() -> None:
    replay = _streaming()
    replay.change(Steer(prompt="B"))
    replay.change(Steer(prompt="C"))
    replay.requests()
    assert {frame.prompt_version for frame in _make(replay, 0, version=1)} == {2}


def test_a_prompt_there_and_back_before_one_block_is_none() -> None:
    replay = _streaming()
    replay.change(Steer(prompt="B"))
    replay.change(Steer(prompt="A"))
    replay.requests()
    assert {frame.prompt_version for frame in _make(replay, 0, version=1)} == {1}


def test_versions_never_go_back_where_the_worker_made_a_block_between_two_prompts() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(prompt="B"))
    replay.change(Steer(prompt="C"))
    _make(replay, 1, version=3)
    replay.requests()
    assert {frame.prompt_version for frame in _make(replay, 0, version=1)} == {3}


def test_a_reset_drops_the_maps_held_before_it_and_uses_the_steered_seed() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(seed=7))
    replay.change(Steer(prompt="Z", at_block=5))
    replay.change(Steer(action="reset"))
    replay.change(Steer(prompt="Y", at_block=3))
    params, held = replay.requests()
    assert (params.prompt, params.seed) == ("A", 7)
    assert [(steer.prompt, steer.at_block) for steer in held] == [("Y", 3)]


def test_a_steered_seed_waits_for_the_reset_on_the_next_connection_too() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(seed=7))
    params, later = replay.requests()
    assert params.seed == 1
    assert later == [Steer(seed=7)]


def test_a_reset_that_is_held_starts_over_when_its_block_has_come() -> None:
    """Not before; the rest of the last block before it keeps its numbers."""
    replay = _streaming(blocks=1)
    replay.change(Steer(action="reset", at_block=3, prompt="B"))
    assert [frame.index for frame in _make(replay, 1, 2)] == list(range(6, 30))
    replay.take(Frame(JPEG, index=0, block=0))
    assert replay.frames == 1
    params, held = replay.requests()
    assert (params.prompt, params.num_blocks, held) == ("B", 99, [])


def test_a_held_reset_is_noticed_where_the_frames_before_it_were_dropped() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(action="reset", at_block=3, prompt="B"))
    replay.take(Frame(JPEG, index=0, block=0))
    replay.take(Frame(JPEG, index=1, block=0))
    assert replay.frames == 2
    assert replay.requests()[0].prompt == "B"


def test_a_held_end_ends_a_stream_that_is_lost_at_its_block() -> None:
    replay = _streaming(blocks=1)
    replay.change(Steer(action="end", at_block=2))
    replay.lost()
    assert not replay.is_over
    _make(replay, 1)
    replay.lost()
    assert replay.is_over


def test_a_picture_that_repeats_its_prompt_undoes_nothing_on_the_next_connection() -> None:
    """Its worker has not seen the pictures before, so that the prompt would count there."""
    replay = _streaming(blocks=1)
    replay.change(Steer(image=JPEG, prompt="X"))
    replay.change(Steer(prompt="typed"))
    params, _ = replay.requests()
    assert params.prompt == "typed"
    assert replay.change(Steer(image=JPEG, prompt="X", request_id="7")) == [
        Steer(image=JPEG, prompt=None, request_id="7")
    ]
    picture, prompt = replay.change(Steer(image=JPEG, prompt="Y", request_id="8"))
    assert picture.wire() == {"image": JPEG, "request_id": "8"}
    assert prompt.wire() == {"prompt": "Y"}


def test_what_was_refused_is_not_asked_for_again() -> None:
    """The worker forgets params that it refuses; the next ones do not go over them."""
    replay = Replay()
    replay.start(Params(prompt="A", start_frame=b"junk"))
    replay.take(Error(code="BAD_PARAMS", reason="start_frame: not a picture"))
    replay.start(Params(prompt="B"))
    params, _ = replay.requests()
    assert (params.prompt, params.start_frame) == ("B", None)


def test_a_second_stream_stays_live() -> None:
    replay = _streaming(num_blocks=1)
    replay.change(Steer(image=JPEG))
    _make(replay, 0)
    replay.take(Completed())
    replay.start(Params(prompt="B"))
    assert replay.requests()[0].webcam_mode is True


def test_a_stream_behind_a_replay_is_asked_for_whole() -> None:
    """The worker there knows the length and the seed of the rest of the last one only."""
    replay = _streaming(blocks=2, num_blocks=3)
    replay.change(Steer(seed=7, strength=0.5))
    replay.requests()
    _make(replay, 0)
    replay.take(Completed())
    sent = replay.start(Params(prompt="B"))
    assert (sent.num_blocks, sent.seed, sent.strength) == (3, 7, 0.5)


def test_a_completed_that_crossed_a_reset_ends_nothing() -> None:
    replay = _streaming(blocks=1, num_blocks=1)
    replay.change(Steer(action="reset"))
    replay.take(Completed())
    replay.take(Started(session_id="s", seed=1, width=64, height=64, num_blocks=1, backend="b"))
    replay.take(Frame(JPEG, index=0, block=0))
    assert not replay.is_over


def test_what_comes_before_anything_was_asked_for_is_passed_on() -> None:
    frame = Frame(JPEG)
    assert Replay().take(frame) is frame
    assert Replay().take(Completed()) == Completed()


def test_what_waits_for_a_frame_waits_for_that_frame_over_a_loss_too() -> None:
    """The new connection begins within a block: its blocks are others, the frame is the same."""
    worker = _Worker(Shape(5, 4), plain=False)
    replay = Replay()
    held = Steer(prompt="b", at_frame=48)
    sent = replay.start(Params(prompt="a", num_blocks=24, steers=(held,)))
    assert sent.steers == (held,)
    replay.take(
        Started(
            session_id="s", seed=1, width=64, height=64, num_blocks=24, backend="b",
            first_block_frames=5, block_frames=4,
        )
    )  # fmt: skip
    for frame in worker.frames(sent)[:11]:
        replay.take(frame)
    replay.lost()
    again, later = replay.requests()
    assert again.prompt == "a" and later == []
    assert again.steers is not None
    assert [(steer.prompt, steer.at_frame) for steer in again.steers] == [("b", 48 - 11)]


def test_what_had_its_time_before_the_loss_is_asked_for_at_once() -> None:
    replay = Replay()
    sent = replay.start(Params(prompt="a", num_blocks=9, steers=(Steer(prompt="b", at_frame=48),)))
    for frame in _Worker(Shape(), plain=False).frames(sent)[:50]:
        replay.take(frame)
    replay.lost()
    again, later = replay.requests()
    assert (again.prompt, again.steers, later) == ("b", None, [])
