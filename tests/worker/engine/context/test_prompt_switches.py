"""What becomes of an appended context at a new prompt: computed anew, or dropped, or left."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from support.engines.rolled_context import RolledContext
from support.engines.tape import Tape
from support.engines.tiny_engine import LONGLIVE, PRESET, SELF_FORCING, tensor_bytes, tiny_engine
from torch import Tensor

from framewire.worker.engine.context import appended, memory
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.interfaces import untimed
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import LONGLIVE_1_3B, Preset

PICTURE = torch.full((16, 32, 3), 200, dtype=torch.uint8)


class Passes:
    """What a trace is told: kind, block, number of frames, place of the first of them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int, int]] = []

    def __call__(self, kind: str, block: int, at: int, t: float, x: Tensor, x0: Tensor) -> None:
        self.seen.append((kind, block, x.shape[0], at))

    def recaches(self) -> list[tuple[int, int, int]]:
        return [one[1:] for one in self.seen if one[0] == "recache"]


def opened(preset: Preset = LONGLIVE, **given: Any) -> Generation:
    options = {
        name: given.pop(name) for name in ("options", "trace", "start_frame") if name in given
    }
    engine = tiny_engine(preset=preset, options=options.pop("options", None))
    sizes = {"width": 32, "height": 16, "seed": 4}
    return engine.open("a fox", StreamParams.of(preset, **(sizes | given)), **options)


def blocks(generation: Generation, count: int) -> list[Tensor]:
    made = []
    for _ in range(count):
        made.append(generation.denoise_block())
        generation.decode_block(made[-1])
    return made


def switched(generation: Generation, switches: dict[int, str], count: int = 11) -> list[Tensor]:
    """Latents of so many blocks, with a new prompt before some of them."""
    made = []
    for block in range(count):
        if block in switches:
            generation.steer(prompt=switches[block])
        made += blocks(generation, 1)
    return made


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for block, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert (one - other).abs().max() < 1e-5, f"block {block}"


def test_the_published_preset_is_three_frames_of_sink_six_of_window_and_three_of_its_own() -> None:
    """Twelve in all; prompts change at once, and what was made is passed again."""
    given = StreamParams.of(LONGLIVE_1_3B)
    assert (given.kv_cache_num_frames + 3, LONGLIVE_1_3B.sink_frames) == (12, 3)
    assert (given.interp_steps, given.prompt_switch) == (1, "recache")


@pytest.mark.parametrize("start", [None, PICTURE])
@pytest.mark.parametrize("recache", ["keep_sink", "new_sink"])
@pytest.mark.parametrize(("window", "sink"), [(9, 3), (9, 0), (6, 1), (5, 2), (10, 3)])
def test_a_recache_round_the_ring_equals_one_in_a_window_that_moves(
    window: int,
    sink: int,
    recache: Any,
    start: Tensor | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the first roll, right at it and after; twice running; positions set back meanwhile."""
    preset = replace(LONGLIVE, sink_frames=sink, recache=recache)
    switches = {2: "snow", 4: "a hill", 6: "a red fox", 7: "night", 9: "rain"}
    given = {"kv_cache_num_frames": window, "start_frame": start}
    monkeypatch.setattr(appended, "MOST_POSITIONS", 26)
    ours = switched(opened(preset, **given), switches)
    monkeypatch.setattr(memory, "AppendedContext", RolledContext)
    assert_close(ours, switched(opened(preset, **given), switches))


@pytest.mark.parametrize("keeps", [1, 2])
@pytest.mark.parametrize("start", [None, PICTURE])
@pytest.mark.parametrize(("window", "sink"), [(18, 0), (6, 0), (6, 1), (5, 2), (9, 3), (3, 3)])
def test_a_flush_of_the_ring_equals_one_of_a_window_that_moves(
    window: int, sink: int, start: Tensor | None, keeps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest frames are found wherever they stand; a cache with less is left as it is."""
    preset = replace(SELF_FORCING, sink_frames=sink)
    switches = {1: "snow", 3: "a hill", 8: "a red fox", 9: "night"}
    given = {
        "kv_cache_num_frames": window,
        "start_frame": start,
        "prompt_switch": "flush",
        "options": EngineOptions(flush_keeps=keeps),
    }
    monkeypatch.setattr(appended, "MOST_POSITIONS", 26)
    ours = switched(opened(preset, **given), switches, 13)
    monkeypatch.setattr(memory, "AppendedContext", RolledContext)
    assert_close(ours, switched(opened(preset, **given), switches, 13))


@pytest.mark.parametrize("recache", ["keep_sink", "new_sink"])
def test_a_sink_that_stays_where_it_was_made_is_not_changed_by_setting_positions_back(
    recache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only differences of positions matter, and they stay what they were, so there is no limit."""
    options = EngineOptions(sink_positions="made")
    preset = replace(LONGLIVE, recache=recache)
    switches = {3: "snow", 9: "a hill", 10: "night"}
    plain = switched(opened(preset, options=options), switches, 20)
    monkeypatch.setattr(appended, "MOST_POSITIONS", 20)
    passes = Passes()
    often = switched(opened(preset, options=options, trace=passes), switches, 20)
    assert max(one[3] for one in passes.seen) < 20
    assert_close(often, plain)
    beside = switched(opened(preset), switches, 20)
    assert (plain[-1] - beside[-1]).abs().max() > 1e-3


def test_a_recache_is_of_all_that_is_held_and_later_of_what_is_behind_the_sink() -> None:
    """One pass, before the first block of the new prompt, none for a prompt that is there already."""
    passes = Passes()
    switched(opened(trace=passes), {0: "snow", 2: "a hill", 3: "a hill", 4: "sea", 6: "night"}, 8)
    assert passes.recaches() == [(2, 6, 0), (4, 12, 0), (6, 9, 9)]


def test_the_newest_of_several_prompts_between_two_blocks_makes_one_recache() -> None:
    passes, wanted = Passes(), Passes()
    generation, plain = opened(trace=passes), opened(trace=wanted)
    for one in (generation, plain):
        blocks(one, 2)
    for prompt in ("snow", "a hill", "night"):
        generation.steer(prompt=prompt)
    plain.steer(prompt="night")
    assert torch.equal(blocks(generation, 2)[-1], blocks(plain, 2)[-1])
    assert passes.recaches() == wanted.recaches() == [(2, 6, 0)]


def test_a_ramp_is_blended_and_its_end_makes_the_one_recache() -> None:
    """A newer prompt on the way makes none of its own but at its end."""
    passes = Passes()
    generation = opened(trace=passes)
    blocks(generation, 1)
    generation.steer(prompt="snow", interp_steps=3)
    blocks(generation, 2)
    generation.steer(prompt="night", interp_steps=2)
    blocks(generation, 4)
    assert passes.recaches() == [(4, 12, 0)]


def test_a_reset_forgets_what_was_made_and_a_prompt_on_its_way_is_there_from_the_start() -> None:
    passes = Passes()
    generation = opened(trace=passes, start_frame=PICTURE)
    switched(generation, {4: "snow"}, 6)
    generation.steer(prompt="night")
    generation.reset()
    again = blocks(generation, 6)
    fresh = generation._shared
    plain = Generation(
        fresh,
        "night",
        generation.params,
        start_frame=PICTURE,
        noise=None,
        trace=None,
        timer=untimed,
    )
    assert_close(again, blocks(plain, 6))
    assert [one[0] for one in passes.recaches()] == [4]


def test_latents_are_remembered_for_a_recache_only_and_no_more_than_the_cache_holds() -> None:
    """Whatever the length of the stream."""
    generation = opened()
    switched(generation, {block: f"prompt {block}" for block in range(3, 12, 2)}, 12)
    context: Any = generation._progress.context
    assert context._latents.shape[0] == 12
    before = tensor_bytes()
    switched(generation, {block: f"prompt {block % 4}" for block in range(12)}, 12)
    assert tensor_bytes() <= before + 4 * generation._shared.text_encoder.encode("").nbytes
    left: Any = opened(prompt_switch="blend")
    blocks(left, 3)
    assert left._progress.context._latents is None


def test_recorded_work_makes_the_same_stream_and_records_each_kind_of_recache_once() -> None:
    """Of nine frames behind the sink, whatever slots the oldest has; the one of twelve comes once."""
    switches = {block: f"prompt {block}" for block in (4, 5, 6, 7, 8, 10)}
    plain = switched(opened(), switches)
    tape = Tape()
    generation = opened()
    engine = generation._shared
    engine.scratch.graphs = BlockGraphs(tape)
    recorded = Generation(
        engine,
        "a fox",
        generation.params,
        start_frame=None,
        noise=None,
        trace=None,
        timer=untimed,
    )
    assert_close(switched(recorded, switches), plain)
    # Denoising and the context pass of a full cache, and the re-cache behind the sink.
    assert tape.recorded == 3


def test_a_switch_that_the_preset_has_no_context_for_is_refused() -> None:
    """Before anything is made; said with what there is."""
    with pytest.raises(
        ValueError, match="prompt_switch 'flush': of preset krea-tiny it can be blend"
    ):
        StreamParams.of(PRESET, prompt_switch="flush")
    with pytest.raises(ValueError, match="it can be blend, flush, recache"):
        StreamParams.of(SELF_FORCING, prompt_switch="cut")
    with pytest.raises(ValueError, match="sink_positions means nothing to the loop"):
        tiny_engine(options=EngineOptions(sink_positions="made"))


def old_frames_seen(preset: Preset, switch: str, keeps: int = 1) -> list[int]:
    """How many frames made under the old prompt each block sees, from the first of the new one on."""
    generation = opened(preset, prompt_switch=switch, options=EngineOptions(flush_keeps=keeps))
    blocks(generation, 8)
    context: Any = generation._progress.context
    tokens = context._tokens

    def frames() -> list[Tensor]:
        values = context._cache.layers[-1][1][0].split(tokens)
        return [one.clone() for one in values[: context._held]]

    old = frames()
    generation.steer(prompt="snow")
    seen = []
    for _ in range(8):
        blocks(generation, 1)
        seen.append(sum(any(torch.equal(one, other) for other in old) for one in frames()))
    return seen


@pytest.mark.parametrize(
    ("preset", "switch", "keeps", "seen"),
    [
        (SELF_FORCING, "blend", 1, [18, 15, 12, 9, 6, 3, 0, 0]),
        (SELF_FORCING, "flush", 1, [1, 1, 1, 1, 1, 1, 0, 0]),
        (SELF_FORCING, "flush", 2, [2, 2, 2, 2, 2, 2, 0, 0]),
        (SELF_FORCING, "recache", 1, [0] * 8),
        (LONGLIVE, "blend", 1, [9, 6, 3, 3, 3, 3, 3, 3]),
        (LONGLIVE, "flush", 1, [4, 4, 3, 3, 3, 3, 3, 3]),
        (LONGLIVE, "recache", 1, [3] * 8),
        (replace(LONGLIVE, recache="new_sink"), "recache", 1, [0] * 8),
    ],
)
def test_what_a_block_sees_of_the_old_prompt(
    preset: Preset, switch: str, keeps: int, seen: list[int]
) -> None:
    """Six blocks of Self-Forcing by itself, one frame where the cache is flushed; a sink for ever."""
    assert old_frames_seen(preset, switch, keeps) == seen


@pytest.mark.parametrize("switch", ["flush", "recache"])
@pytest.mark.parametrize(("window", "sink"), [(1, 0), (4, 0), (5, 2), (9, 3)])
def test_no_switch_brings_what_was_never_written_into_view(
    switch: str, window: int, sink: int
) -> None:
    """Windows that blocks do not fit, and a switch before every block."""
    preset = replace(LONGLIVE, sink_frames=sink)
    generation = opened(preset, prompt_switch=switch, kv_cache_num_frames=window)
    generation._memory.cache().fill(torch.nan)
    for latents in switched(generation, {block: f"{block}" for block in range(9)}, 9):
        assert latents.isfinite().all()
