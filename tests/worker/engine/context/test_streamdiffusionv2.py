"""StreamDiffusionV2: its ring of keys, its sink, and streams from text and input."""

from typing import Any

import torch
from support.engines.live_stream import live, live_params, pictures
from support.engines.tiny_engine import STREAMDIFFUSIONV2, tiny_engine
from torch import Tensor

from framewire.worker.engine.context.ring import Slots
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.preset import TransformerDims

TOKENS = 2
DIMS = TransformerDims(layers=2, heads=1, ffn_dim=8, head_dim=8)


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


def test_a_stream_turns_from_text_to_input_and_back() -> None:
    """The input's first picture is a latent of its own; steps change with the kind of block."""
    told: list[float] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox", live_params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
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
        "a fox", live_params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
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
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open("a fox", live_params())
    live(generation, 2)
    context: Any = generation._progress.context
    assert (context._slots._due < 0).all()


def test_positions_are_set_back_and_never_overflow() -> None:
    """At 50 to the cache's last; two wraps in 110 blocks."""
    positions: list[int] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox",
        live_params(num_denoising_steps=1),
        trace=lambda kind, block, at, t, x, x0: positions.append(at),
    )
    frames = live(generation, 110, noise=3)[-1]
    assert positions[:4] == [0, 2, 3, 4]
    assert max(positions) == 49
    assert positions.count(5) == 3
    assert frames.shape[0] == 4


def test_a_steered_prompt_shows_in_the_next_block_without_a_restart() -> None:
    """The ring goes on; another stream's does not change."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2)
    plain, steered = (engine.open("a fox", live_params()) for _ in range(2))
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
        live_params(),
        start_frame=picture,
        trace=lambda kind, block, at, t, x, x0: positions.append((kind, at)),
    )
    made = [generation.generate_block() for _ in range(7)]
    places = [at for kind, at in positions if kind == "denoise"]
    assert positions[0] == ("context", 0)
    assert places[::5] == [1, 3, 4, 5, 6, 7, 8]
    generation.reset()
    assert all(torch.equal(frames, generation.generate_block()) for frames in made)
    assert not torch.equal(made[0], engine.open("a fox", live_params()).generate_block())


def test_interleaved_live_streams_equal_their_solo_runs_and_a_reset_repeats_them() -> None:
    """Ring, noise scale and encoder are each stream's own, and a reset empties them."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2)
    looks = ({"noise": 20, "seed": 1}, {"noise": 90, "seed": 2})
    alone = [live(engine.open("a", live_params()), 8, **look) for look in looks]
    streams = [engine.open("a", live_params()) for _ in looks]
    together: list[list[Tensor]] = [[], []]
    for _ in range(8):
        for stream, look, made in zip(streams, looks, together, strict=True):
            made += live(stream, 1, **look)
    assert all(map(torch.equal, alone[0] + alone[1], together[0] + together[1]))
    streams[0].reset()
    assert all(map(torch.equal, live(streams[0], 8, **looks[0]), alone[0]))
