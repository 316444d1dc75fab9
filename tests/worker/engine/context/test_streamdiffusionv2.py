"""StreamDiffusionV2: its ring of keys, its sink, its noise scale, and steps in batches."""

from typing import Any

import pytest
import torch
from support.engines.tiny_engine import STREAMDIFFUSIONV2, tiny_engine
from torch import Tensor

from framewire.worker.engine.context.ring import Slots
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.input_encoder import NoiseScale
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import MotionController, TransformerDims

TOKENS = 2
DIMS = TransformerDims(layers=2, heads=1, ffn_dim=8, head_dim=8)


def params(**given: Any) -> StreamParams:
    return StreamParams.of(STREAMDIFFUSIONV2, **({"width": 32, "height": 16, "seed": 4} | given))


def pictures(count: int, level: int = 100, noise: int = 0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    still = torch.full((count, 16, 32, 3), level)
    moved = torch.randint(-noise, noise + 1, still.shape, generator=generator) if noise else 0
    return (still + moved).clamp(0, 255).to(torch.uint8)


def live(generation: Generation, blocks: int, **look: Any) -> list[Tensor]:
    return [
        generation.generate_block(pictures(generation.pictures_needed, **look))
        for _ in range(blocks)
    ]


def slots(sink: int = 3, count: int = 6) -> tuple[Slots, KVCache]:
    """Slots over a cache whose frames all have the same keys and values."""
    cache = KVCache(DIMS, count * TOKENS, "cpu", torch.float32)
    for keys, values in cache.layers:
        keys.fill_(1.0)
        values.fill_(1.0)
    return Slots(cache, TOKENS, sink), cache


def unlike(cache: KVCache, layer: int, slot: int) -> None:
    """Give one frame keys and values that are the opposite of all others'."""
    for whole in cache.layers[layer]:
        whole[:, slot * TOKENS : (slot + 1) * TOKENS] = -1.0


def test_five_pictures_make_five_frames_then_four_make_four() -> None:
    """Two latents first, then one a block."""
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open("a fox", params())
    wanted = []
    made = []
    for _ in range(4):
        wanted.append(generation.pictures_needed)
        made.append(len(live(generation, 1)[0]))
    assert wanted == made == [5, 4, 4, 4]


def test_a_stream_turns_from_text_to_input_and_back() -> None:
    """The input's first picture is a latent of its own; steps change with the kind of block."""
    told: list[float] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox", params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
    )
    generation.generate_block()
    wanted = [generation.pictures_needed]
    frames = live(generation, 1)[0]
    wanted.append(generation.pictures_needed)
    live(generation, 1)
    generation.generate_block()
    assert wanted == [1, 4]
    assert len(frames) == 4
    assert told == [1000, 750, 500, 250, 0, 700, 500, 700, 500, 1000, 750, 500, 250, 0]


def test_text_alone_takes_its_own_steps_from_pure_noise() -> None:
    """1000, 750, 500, 250 and 0, in blocks of the same length."""
    told: list[float] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox", params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
    )
    assert [len(generation.generate_block()) for _ in range(3)] == [5, 4, 4]
    assert told == [1000, 750, 500, 250, 0] * 3


def test_a_full_ring_takes_the_oldest_slot_and_never_the_sink() -> None:
    """Empty slots are filled in order first."""
    ring, _ = slots()
    taken = [int(ring.choose([filled])[0, 0]) for filled in (2, 3, 4, 5, 6, 6, 6, 6)]
    assert taken == [2, 3, 4, 5, 3, 4, 5, 3]


def test_a_frame_unlike_the_sink_has_the_least_like_sink_frame_replaced_in_that_layer_only() -> (
    None
):
    """The next frame takes its slot; the window goes on where it was."""
    ring, cache = slots()
    for filled in (3, 4, 5):
        ring.choose([filled])
    unlike(cache, layer=1, slot=1)
    new = ring.choose([6])
    ring.compare(new, [True], threshold=0.2)
    assert ring.choose([6]).tolist() == [[4], [1]]
    assert ring.choose([6]).tolist() == [[5], [4]]


def test_frames_in_the_sink_replace_no_other_so_that_the_window_always_goes_on() -> None:
    """With a threshold that nothing reaches, every other frame still goes to the window."""
    ring, _ = slots()
    taken = []
    for filled in (3, 4, 5, 6, 6, 6, 6):
        chosen = ring.choose([filled])
        ring.compare(chosen, [True], threshold=2.0)
        taken.append(int(chosen[0, 0]))
    assert [slot < 3 for slot in taken[3:]] == [True, False, True, False]


def test_rows_that_hold_no_frame_yet_judge_no_sink() -> None:
    ring, cache = slots()
    unlike(cache, layer=0, slot=0)
    ring.compare(ring.choose([6]), [False], threshold=0.2)
    assert int(ring.choose([6])[0, 0]) >= 3


def test_a_still_sink_is_not_replaced_before_it_is_filled() -> None:
    """The reference's mistake: the block that fills the sink is compared with an empty slot."""
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open("a fox", params())
    live(generation, 2)
    context: Any = generation._progress.context
    assert (context._slots._due < 0).all()


def test_positions_are_set_back_and_never_overflow() -> None:
    """At 50 to the cache's last; two wraps in 110 blocks."""
    positions: list[int] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox",
        params(num_denoising_steps=1),
        trace=lambda kind, block, at, t, x, x0: positions.append(at),
    )
    frames = live(generation, 110, noise=3)[-1]
    assert positions[:4] == [0, 2, 3, 4]
    assert max(positions) == 49
    assert positions.count(5) == 3
    assert frames.shape[0] == 4


def test_the_noise_scale_follows_the_formula() -> None:
    """scale = 0.9 (asked - 0.1 motion) + 0.1 before; motion is RMS change over 0.2, at most 1."""
    scale = NoiseScale(MotionController())
    assert scale.next(0.8, pictures(5), controlled=True) == 0.8
    still = scale.next(0.8, pictures(4), controlled=True)
    assert still == pytest.approx(0.9 * 0.8 + 0.1 * 0.8)
    step = scale.next(0.8, pictures(4, level=110), controlled=True)
    motion = (10 / 127.5) / 0.2
    assert step == pytest.approx(0.9 * (0.8 - 0.1 * motion) + 0.1 * still)
    cut = scale.next(0.8, pictures(4, level=250), controlled=True)
    assert cut == pytest.approx(0.9 * (0.8 - 0.1) + 0.1 * step)
    at_rest = scale.next(0.8, pictures(4, level=250), controlled=True)
    assert cut < step < still
    assert at_rest == pytest.approx(0.9 * 0.8 + 0.1 * cut)


def test_the_noise_scale_never_falls_below_the_least_strength() -> None:
    """Little strength and much motion still leave a pass to make."""
    scale = NoiseScale(MotionController())
    levels = [0, 250, 0, 250, 0, 250]
    found = [scale.next(0.02, pictures(4, level=level), controlled=True) for level in levels]
    assert found[1:] == [0.01] * 5


def test_the_noise_controller_is_steered_live_and_sets_the_first_timestep() -> None:
    """Moving input lowers scale and step; switched off, both are what was asked for."""
    told: list[float] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox", params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
    )
    live(generation, 1)
    live(generation, 1, noise=100)
    assert told[:2] == [700, 500]
    assert told[2] < 650
    generation.steer(noise_controller=False)
    live(generation, 1, noise=100, seed=1)
    assert told[4:6] == [700, 500]
    generation.steer(strength=0.55)
    live(generation, 1)
    assert told[6:] == [450]


def test_a_steered_prompt_shows_in_the_next_block_without_a_restart() -> None:
    """The ring goes on; another stream's does not change."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2)
    plain, steered = (engine.open("a fox", params()) for _ in range(2))
    assert all(map(torch.equal, live(plain, 3), live(steered, 3)))
    steered.steer(prompt="snow")
    assert not torch.equal(live(plain, 1)[0], live(steered, 1)[0])
    assert steered.block == plain.block == 4


def test_a_start_frame_is_in_the_ring_before_the_first_block() -> None:
    """Text follows it, again after a reset; it takes the first place of the sink."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2)
    picture = pictures(1, level=220)[0]
    positions: list[tuple[str, int]] = []
    generation = engine.open(
        "a fox",
        params(),
        start_frame=picture,
        trace=lambda kind, block, at, t, x, x0: positions.append((kind, at)),
    )
    made = [generation.generate_block() for _ in range(7)]
    places = [at for kind, at in positions if kind == "denoise"]
    assert positions[0] == ("context", 0)
    assert places[::5] == [1, 3, 4, 5, 6, 7, 8]
    generation.reset()
    assert all(torch.equal(frames, generation.generate_block()) for frames in made)
    assert not torch.equal(made[0], engine.open("a fox", params()).generate_block())


def test_interleaved_live_streams_equal_their_solo_runs_and_a_reset_repeats_them() -> None:
    """Ring, noise scale and encoder are each stream's own, and a reset empties them."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2)
    looks = ({"noise": 20, "seed": 1}, {"noise": 90, "seed": 2})
    alone = [live(engine.open("a", params()), 8, **look) for look in looks]
    streams = [engine.open("a", params()) for _ in looks]
    together: list[list[Tensor]] = [[], []]
    for _ in range(8):
        for stream, look, made in zip(streams, looks, together, strict=True):
            made += live(stream, 1, **look)
    assert all(map(torch.equal, alone[0] + alone[1], together[0] + together[1]))
    streams[0].reset()
    assert all(map(torch.equal, live(streams[0], 8, **looks[0]), alone[0]))


def test_batched_steps_bring_each_block_out_a_step_later() -> None:
    """The first block is whole; then nothing comes while the batch fills."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2, options=EngineOptions(batch_steps=True))
    generation = engine.open("a fox", params(num_denoising_steps=3))
    assert [len(frames) for frames in live(generation, 60, noise=9)[:6]] == [5, 0, 0, 4, 4, 4]
    assert generation.delay == 2


def test_batched_steps_without_input_are_refused() -> None:
    engine = tiny_engine(preset=STREAMDIFFUSIONV2, options=EngineOptions(batch_steps=True))
    with pytest.raises(ValueError, match="batch_steps is for blocks made from pictures"):
        engine.open("a fox", params()).generate_block()
