"""A stream as a whole: counts, steering, live input, reset, isolation and constant memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch
from support.engines.tiny_engine import tensor_bytes, tiny_engine
from torch import Tensor

from framewire.worker.engine.generation import Generation
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams

SMALL = StreamParams(32, 16, num_denoising_steps=2, seed=5)
PROMPT = "a fox"


def run(generation: Generation, blocks: int) -> list[Tensor]:
    return [generation.generate_block() for _ in range(blocks)]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b) for a, b in zip(left, right, strict=True)
    )


def moving(count: int, params: StreamParams, seed: int = 0) -> Tensor:
    """Random pictures uint8 [T, H, W, 3]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, params.height, params.width, 3)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def test_blocks_are_six_then_twelve_frames_of_the_asked_size() -> None:
    """The frames made while the decoder warms up are withheld: 12 B - 6 in all."""
    frames = run(tiny_engine().open(PROMPT, SMALL), 3)
    assert [tuple(block.shape) for block in frames] == [
        (6, 16, 32, 3),
        (12, 16, 32, 3),
        (12, 16, 32, 3),
    ]
    assert all(block.dtype == torch.uint8 and block.is_contiguous() for block in frames)
    assert all(not torch.equal(a[-1], b[-1]) for a, b in pairwise(frames))


@pytest.mark.parametrize("window", [3, 5])
def test_two_hundred_blocks_hold_constant_memory_at_bounded_positions(window: int) -> None:
    """Nothing grows with a stream's length, and no position passes the window's end."""
    positions: set[int] = set()

    def trace(
        kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        positions.add(first_frame + x.shape[0])

    params = StreamParams(16, 16, num_denoising_steps=1, kv_cache_num_frames=window)
    generation = tiny_engine().open(PROMPT, params, trace=trace)
    run(generation, 20)
    early = tensor_bytes()
    for _ in range(180):
        frames = generation.generate_block()
    del frames
    assert generation.block == 200
    assert tensor_bytes() <= early
    assert max(positions) == window + 3


@pytest.mark.parametrize("every", [1, 2])
def test_interleaved_streams_equal_their_solo_runs_bit_for_bit(every: int) -> None:
    """Two streams of other prompt, seed, size and window share a scratch that is poisoned."""
    options = EngineOptions(context_every=every)
    other = StreamParams(48, 32, num_denoising_steps=3, seed=9, kv_cache_num_frames=5)
    solo = [
        run(tiny_engine(options=options).open(prompt, params), 5)
        for prompt, params in ((PROMPT, SMALL), ("snow", other))
    ]
    engine = tiny_engine(options=options)
    streams = [engine.open(PROMPT, SMALL), engine.open("snow", other)]
    shared: list[list[Tensor]] = [[], []]
    for _ in range(5):
        for stream, frames in zip(streams, shared, strict=True):
            engine.scratch.poison()
            frames.append(stream.generate_block())
    assert same(shared[0], solo[0])
    assert same(shared[1], solo[1])


def test_a_seed_means_the_same_stream_and_another_seed_another() -> None:
    """Streams of equal prompt, seed, size and steps are equal; the seed changes them."""
    engine = tiny_engine()
    first, again = (run(engine.open(PROMPT, SMALL), 3) for _ in range(2))
    other = run(engine.open(PROMPT, StreamParams(32, 16, num_denoising_steps=2, seed=6)), 3)
    assert same(first, again)
    assert not torch.equal(first[0], other[0])


def test_reset_starts_over_with_the_latest_prompt_and_seed() -> None:
    """After a reset the stream equals a new one with the values steered to."""
    engine = tiny_engine()
    generation = engine.open(PROMPT, SMALL)
    run(generation, 3)
    generation.steer(prompt="snow", interp_steps=8, seed=11)
    run(generation, 1)
    generation.reset()
    assert generation.block == 0
    fresh = engine.open("snow", StreamParams(32, 16, num_denoising_steps=2, seed=11))
    assert same(run(generation, 3), run(fresh, 3))


def test_reset_without_changes_repeats_the_stream_with_its_start_frame() -> None:
    """A seed means the same stream after a reset, and the start frame still leads it."""
    engine = tiny_engine()
    generation = engine.open(PROMPT, SMALL, start_frame=moving(1, SMALL)[0])
    first = run(generation, 3)
    generation.reset()
    assert same(run(generation, 3), first)
    assert not torch.equal(run(engine.open(PROMPT, SMALL), 1)[0], first[0])


def test_a_steered_prompt_shows_in_the_next_block() -> None:
    """With one interpolation step the next block has the new prompt alone, the block before not."""
    engine = tiny_engine()
    steered, plain = engine.open(PROMPT, SMALL), engine.open(PROMPT, SMALL)
    assert same(run(steered, 2), run(plain, 2))
    steered.steer(prompt="snow", interp_steps=1)
    assert not torch.equal(steered.denoise_block(), plain.denoise_block())
    assert steered._ramp.current is engine.encode_prompt("snow")


def test_the_prompt_in_use_is_no_change() -> None:
    """Steering to the present target neither restarts its ramp nor encodes it again."""
    engine = tiny_engine()
    steered, plain = (engine.open(PROMPT, SMALL) for _ in range(2))
    for stream in (steered, plain):
        stream.steer(prompt="snow", interp_steps=4)
    first = [run(stream, 1) for stream in (steered, plain)]
    steered.steer(prompt="snow", interp_steps=1)
    assert same(first[0] + run(steered, 2), first[1] + run(plain, 2))


def test_live_input_takes_nine_pictures_then_twelve_and_follows_them() -> None:
    """Frames are made from the pictures; other pictures make other frames, the same the same."""
    engine = tiny_engine()
    made = []
    for seed in (0, 0, 1):
        stream = engine.open(PROMPT, SMALL)
        frames = []
        for block in range(3):
            assert stream.pictures_needed == (9 if block == 0 else 12)
            pictures = moving(stream.pictures_needed, SMALL, seed=10 * seed + block)
            frames.append(stream.generate_block(pictures))
        made.append(frames)
    assert same(made[0], made[1])
    assert not torch.equal(made[0][0], made[2][0])


def test_strength_is_steered_live_and_ignored_without_input() -> None:
    """Lower strength brings the output's latents nearer to the input's; text blocks don't care."""
    engine = tiny_engine()
    pictures = moving(9, SMALL)
    given = engine.vae.encode(pictures.movedim(-1, 1) / 127.5 - 1, engine.vae.open_encoder())
    distances = []
    for strength in (0.9, 0.5, 0.1, 0.0):
        stream = engine.open(PROMPT, SMALL)
        stream.steer(strength=strength)
        distances.append(float((stream.denoise_block(pictures) - given).abs().mean()))
    assert distances == sorted(distances, reverse=True)
    weak = StreamParams(32, 16, num_denoising_steps=2, seed=5, strength=0.1)
    assert same(run(engine.open(PROMPT, weak), 2), run(engine.open(PROMPT, SMALL), 2))


def test_a_stream_turns_live_in_its_middle() -> None:
    """The first block with input starts an input stream of its own: nine pictures."""
    stream = tiny_engine().open(PROMPT, SMALL)
    run(stream, 2)
    assert stream.pictures_needed == 9
    assert stream.generate_block(moving(9, SMALL)).shape[0] == 12
    assert stream.pictures_needed == 12


@pytest.mark.parametrize("wrong", [(8, 16, 32, 3), (9, 32, 16, 3), (9, 16, 32, 4), (12, 16, 32, 3)])
def test_wrong_pictures_are_refused_and_leave_the_stream_as_it_was(
    wrong: tuple[int, ...],
) -> None:
    """The error names both shapes; the next block is the one that would have been made."""
    engine = tiny_engine()
    stream = engine.open(PROMPT, SMALL)
    run(stream, 2)
    with pytest.raises(ValueError, match=r"expected pictures \[9, 16, 32, 3\]"):
        stream.generate_block(torch.zeros(wrong, dtype=torch.uint8))
    assert same(run(stream, 1), run(engine.open(PROMPT, SMALL), 3)[2:])


def test_explicit_denoising_steps_are_told_to_the_model_as_given() -> None:
    """`denoising_steps` replaces the spread ones, and input enters it at its strength."""
    told: list[float] = []

    def trace(
        kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        if kind == "denoise":
            told.append(timestep)

    params = StreamParams(32, 16, denoising_steps=(1000, 700, 500), strength=0.3)
    stream = tiny_engine().open(PROMPT, params, trace=trace)
    run(stream, 1)
    assert told == [1000, 700, 500]
    told.clear()
    stream.generate_block(moving(9, params))
    assert told == [pytest.approx(681.818, abs=1e-2), 500]


def test_skipping_the_pass_at_zero_saves_it_and_changes_little() -> None:
    """One pass a block less; the latents stay within the size of the noise it removes."""
    passes: list[float] = []

    def trace(
        kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        passes.append(timestep)

    params = StreamParams(32, 16, num_denoising_steps=4)
    whole = tiny_engine().open(PROMPT, params).denoise_block()
    engine = tiny_engine(options=EngineOptions(skip_zero=True))
    short = engine.open(PROMPT, params, trace=trace).denoise_block()
    assert len(passes) == 3
    assert 0 < (short - whole).abs().mean() < 0.02


def test_context_every_second_block_skips_every_other_context_pass() -> None:
    """Blocks between roll the cache of the stream's own, whose keys equal unrolled ones in time."""
    kinds: list[tuple[str, int]] = []

    def trace(
        kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        if kind == "context":
            kinds.append((kind, block))
        assert not x0.isnan().any()

    engine = tiny_engine(options=EngineOptions(context_every=2))
    run(engine.open(PROMPT, SMALL, trace=trace), 6)
    assert [block for _, block in kinds] == [1, 3, 5]


def test_a_block_cannot_overtake_the_decoding_that_it_needs() -> None:
    """Where a picture of the last block is needed, the error says to decode it first."""
    stream = tiny_engine().open(PROMPT, SMALL)
    run(stream, 1)
    latents = stream.denoise_block()
    with pytest.raises(RuntimeError, match="decode the last block"):
        stream.denoise_block()
    stream.decode_block(latents)
    assert stream.generate_block().shape[0] == 12


def test_decoding_may_lag_where_no_picture_is_needed_but_not_without_end() -> None:
    """With the first frame kept, one block may be denoised before the last is decoded."""
    params = StreamParams(32, 16, num_denoising_steps=2, seed=5, keep_first_frame=True)
    engine = tiny_engine()
    stream = engine.open(PROMPT, params)
    latents = [stream.denoise_block()]
    frames = []
    for _ in range(4):
        latents.append(stream.denoise_block())
        frames.append(stream.decode_block(latents.pop(0)))
    assert same(frames, run(engine.open(PROMPT, params), 4))
    stream.denoise_block()
    with pytest.raises(RuntimeError, match="decode first"):
        stream.denoise_block()


def test_latents_from_before_a_reset_are_not_decoded_into_the_new_stream() -> None:
    """A block that was under way when the stream was reset is refused, not mixed in."""
    stream = tiny_engine().open(PROMPT, SMALL)
    stale = stream.denoise_block()
    stream.reset()
    fresh = stream.denoise_block()
    with pytest.raises(ValueError, match="not after a reset"):
        stream.decode_block(stale)
    assert stream.decode_block(fresh).shape[0] == 6


def test_every_stage_of_a_block_is_timed() -> None:
    """The hook is entered around the encoding, the context, each denoise pass and the decoding."""
    stages: list[str] = []

    @contextmanager
    def timer(stage: str) -> Iterator[None]:
        stages.append(stage)
        yield

    stream = tiny_engine().open(PROMPT, SMALL, timer=timer)
    run(stream, 2)
    stages.clear()
    run(stream, 1)
    assert stages == ["encode", "context", "denoise", "denoise", "decode"]


def test_half_precision_runs_without_turning_the_latents_to_it() -> None:
    """A bfloat16 transformer makes finite latents near the float32 ones."""
    full = tiny_engine().open(PROMPT, SMALL).denoise_block()
    half = tiny_engine(dtype=torch.bfloat16).open(PROMPT, SMALL).denoise_block()
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().mean() < 0.1


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 6])
def test_a_block_needs_no_more_of_the_last_one_decoded_than_its_early_latents(frames: int) -> None:
    """The rest of a block may be decoded after the next was denoised: the stream is the same."""
    params = StreamParams(32, 16, num_denoising_steps=2, seed=5, kv_cache_num_frames=frames)
    whole = torch.cat(run(tiny_engine().open(PROMPT, params), 6))
    stream = tiny_engine().open(PROMPT, params)
    made: list[Tensor] = []
    rest: Tensor | None = None
    for _ in range(6):
        latents = stream.denoise_block()
        if rest is not None:
            made.append(stream.decode_block(rest))
        early = stream.early_latents
        if early:
            made.append(stream.decode_block(latents, only=early))
        rest = latents if early < latents.shape[0] else None
    assert early == max(0, 4 - frames)
    if rest is not None:
        made.append(stream.decode_block(rest))
    frames_made = torch.cat(made)
    assert frames_made.shape == whole.shape
    assert (frames_made.int() - whole.int()).abs().max() <= 1
