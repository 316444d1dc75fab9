"""Self-Forcing: its passes, its equality with a plain loop, and streams without end."""

from typing import Any

import pytest
import torch
from support.engines.rolled_context import RolledContext
from support.engines.slow_self_forcing import STEPS, SlowSelfForcing
from support.engines.tiny_engine import SELF_FORCING, TINY, tensor_bytes, tiny_engine, tiny_weights
from torch import Tensor

from framewire.worker.engine.context import appended, memory
from framewire.worker.engine.denoising.noise import SeededNoise
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import SELF_FORCING_1_3B

CLOSE = 1e-4


def params(**given: Any) -> StreamParams:
    return StreamParams.of(SELF_FORCING, **({"width": 32, "height": 16, "seed": 4} | given))


def latents_of(generation: Generation, blocks: int) -> list[Tensor]:
    made = []
    for _ in range(blocks):
        made.append(generation.denoise_block())
        generation.decode_block(made[-1])
    return made


def keys(generation: Generation) -> Tensor:
    return torch.stack([layer[0] for layer in generation._memory.cache().layers])


def test_a_block_is_four_passes_at_the_published_timesteps_and_one_at_zero_in_the_same_place() -> (
    None
):
    """1000, 937.5, 833.33, 625, then the clean latents, which are what later blocks see."""
    seen: list[tuple[str, int, int, float]] = []
    generation = tiny_engine(preset=SELF_FORCING).open(
        "a fox", params(), trace=lambda kind, block, at, t, x, x0: seen.append((kind, block, at, t))
    )
    latents_of(generation, 3)
    for block in range(3):
        calls = seen[5 * block : 5 * block + 5]
        assert [call[:3] for call in calls] == [
            *[("denoise", block, 3 * block)] * 4,
            ("context", block, 3 * block),
        ]
        assert [call[3] for call in calls] == pytest.approx([*STEPS, 0.0], abs=0.01)


def test_the_first_block_has_nine_frames_and_later_ones_twelve() -> None:
    """Nothing is withheld: 81 frames from 21 latents, as published."""
    generation = tiny_engine(preset=SELF_FORCING).open("a fox", params())
    assert [len(generation.generate_block()) for _ in range(3)] == [9, 12, 12]


@pytest.mark.parametrize("window", [3, 6, 18])
def test_a_stream_equals_the_plain_loop_also_past_a_full_cache(window: int) -> None:
    """Keys that are turned back in time are those of a window that moves on; the prompt too."""
    given = params(kv_cache_num_frames=window)
    blocks = 9 if window == 18 else 5
    engine = tiny_engine(preset=SELF_FORCING)
    generation = engine.open("a fox", given)
    shape = (4, 3, 16, given.height // 8, given.width // 8)
    source = SeededNoise(given.seed, shape)
    noise = [source.next_block() for _ in range(blocks)]
    prompts = [engine.encode_prompt("a fox")] * 3 + [engine.encode_prompt("snow")] * (blocks - 3)
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    expected = SlowSelfForcing(model, window).run(noise, prompts)
    ours = latents_of(generation, 3)
    generation.steer(prompt="snow")
    ours += latents_of(generation, blocks - 3)
    for block, (actual, plain) in enumerate(zip(ours, expected, strict=True)):
        assert (actual - plain).abs().max() < CLOSE, f"block {block}"


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize(("window", "sink"), [(18, 0), (18, 3), (6, 1), (5, 0), (5, 2), (3, 3)])
def test_a_ring_in_which_nothing_moves_equals_a_window_that_does(
    window: int, sink: int, start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several times round, positions set back meanwhile; the sink, the prompt and a start frame too."""
    picture = torch.full((16, 32, 3), 200, dtype=torch.uint8) if start else None
    engine = tiny_engine(preset=SELF_FORCING, options=EngineOptions(sink_frames=sink))

    def streamed() -> list[Tensor]:
        given = params(kv_cache_num_frames=window)
        generation = engine.open("a fox", given, start_frame=picture)
        made = latents_of(generation, 11)
        generation.steer(prompt="snow")
        return made + latents_of(generation, 11)

    monkeypatch.setattr(appended, "MOST_POSITIONS", 40)
    ours = streamed()
    monkeypatch.setattr(memory, "AppendedContext", RolledContext)
    for block, (actual, rolled) in enumerate(zip(ours, streamed(), strict=True)):
        assert (actual - rolled).abs().max() < 1e-5, f"block {block}"


def test_a_full_cache_moves_no_keys_and_its_blocks_are_of_one_shape() -> None:
    """One kind of work to compile or record, whatever slots a block takes."""
    windows = set()
    generation = tiny_engine(preset=SELF_FORCING).open("a fox", params())
    latents_of(generation, 8)
    for _ in range(9):
        before = keys(generation).clone()
        latents_of(generation, 1)
        place = generation._progress.context._place
        windows.add(place.window)
        tokens = generation._memory.rope.tokens_per_frame
        first = int(place.slots[0, 0]) // tokens
        changed = (keys(generation) != before).any(-1).any(-1).any(0).any(0).view(-1, tokens)
        written = [frame for frame in range(21) if bool(changed[frame].any())]
        assert written == [first, first + 1, first + 2]
    assert len(windows) == 1


@pytest.mark.parametrize("sink", [0, 3])
def test_sixty_blocks_hold_constant_memory_at_bounded_positions(
    sink: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times the reference's limit and more; a sink's keys are held once beside the cache."""
    monkeypatch.setattr(appended, "MOST_POSITIONS", 60)
    engine = tiny_engine(preset=SELF_FORCING, options=EngineOptions(sink_frames=sink))
    positions: list[int] = []
    generation = engine.open(
        "a fox", params(), trace=lambda kind, block, at, t, x, x0: positions.append(at)
    )
    last = latents_of(generation, 8)[-1]
    before = tensor_bytes()
    for _ in range(52):
        last = latents_of(generation, 1)[-1]
    assert last.isfinite().all()
    assert tensor_bytes() <= before
    assert 50 < max(positions) <= 57


def test_a_sink_changes_the_stream_only_once_the_cache_is_full() -> None:
    """Until then it is the published loop."""
    plain = latents_of(tiny_engine(preset=SELF_FORCING).open("a fox", params()), 8)
    engine = tiny_engine(preset=SELF_FORCING, options=EngineOptions(sink_frames=3))
    sunk = latents_of(engine.open("a fox", params()), 8)
    assert all(map(torch.equal, plain[:7], sunk[:7]))
    assert not torch.equal(plain[7], sunk[7])


def test_a_start_frame_comes_before_the_first_block() -> None:
    """Its latents are cached clean, so that blocks follow it, again after a reset."""
    picture = torch.full((16, 32, 3), 200, dtype=torch.uint8)
    engine = tiny_engine(preset=SELF_FORCING)
    generation = engine.open("a fox", params(), start_frame=picture)
    first = latents_of(generation, 2)
    generation.reset()
    assert all(map(torch.equal, first, latents_of(generation, 2)))
    plain = latents_of(engine.open("a fox", params()), 1)
    assert not torch.equal(first[0], plain[0])


def test_two_streams_do_not_see_each_other() -> None:
    """Each has a cache of its own: interleaved blocks equal those made alone."""
    engine = tiny_engine(preset=SELF_FORCING)
    alone = [latents_of(engine.open(text, params(seed=s)), 3) for text, s in (("a", 1), ("b", 2))]
    streams = [engine.open(text, params(seed=s)) for text, s in (("a", 1), ("b", 2))]
    together: list[list[Tensor]] = [[], []]
    for _ in range(3):
        for stream, made in zip(streams, together, strict=True):
            made += latents_of(stream, 1)
    assert all(map(torch.equal, alone[0] + alone[1], together[0] + together[1]))


def test_the_published_preset_has_a_cache_of_twenty_one_frames() -> None:
    """18 before a block of three; a stream may ask for less, and not for more."""
    assert StreamParams.of(SELF_FORCING_1_3B).kv_cache_num_frames + 3 == 21
    assert StreamParams.of(SELF_FORCING_1_3B, kv_cache_num_frames=3).kv_cache_num_frames == 3
    with pytest.raises(ValueError, match="kv_cache_num_frames must be 1-18"):
        StreamParams.of(SELF_FORCING_1_3B, kv_cache_num_frames=19)
