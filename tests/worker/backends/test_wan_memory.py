"""Room for streams: their own memory adds up, the scratch counts once, and no stream runs out."""

from dataclasses import replace

import pytest
import torch
from support.viewers.plain_stream import tiny_backend, tiny_random

from framewire.worker.backends.base import CapacityError, KnowsItsRoom, SettingsError
from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.backends.wan_memory import Budget, Footprint, Need
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import KREA_REALTIME_14B, Preset
from framewire.worker.engine.random_weights import (
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_STREAMDIFFUSIONV2,
)

SMALL = Need(own=100, scratch=500)


def test_streams_share_the_scratch_and_add_up_their_own() -> None:
    budget = Budget(1000)
    assert budget.places(SMALL) == 4
    for who in range(4):
        budget.take(who, SMALL)
    assert budget.taken == 4 * 100 + 500
    with pytest.raises(CapacityError, match="try again later"):
        budget.take("fifth", SMALL)
    budget.give_back(2)
    budget.take("fifth", SMALL)


def test_a_larger_stream_counts_its_scratch_in_the_place_of_the_others() -> None:
    budget = Budget(1000)
    budget.take("small", SMALL)
    budget.take("large", Need(own=100, scratch=700))
    assert budget.taken == 900
    budget.give_back("large")
    assert budget.taken == 600


def test_what_can_never_fit_is_the_askers_fault_and_says_what_is_there() -> None:
    with pytest.raises(SettingsError, match="ask for smaller pictures") as caught:
        Budget(1000).take("huge", Need(own=600, scratch=600))
    assert caught.value.key == "width"


def test_giving_back_twice_or_what_was_never_taken_is_nothing() -> None:
    budget = Budget(1000)
    budget.give_back("nobody")
    assert budget.taken == 0


def test_a_streams_need_grows_with_its_size_and_window() -> None:
    footprint = Footprint(tiny_random())
    small, large, long = (
        footprint.of(StreamParams.of(TINY_RANDOM, width=width, kv_cache_num_frames=window))
        for width, window in ((64, 3), (128, 3), (64, 12))
    )
    assert large.own == 2 * small.own and large.scratch == 2 * small.scratch
    assert long.own > small.own and long.scratch > small.scratch


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        (TINY_SELF_FORCING, EngineOptions()),
        (TINY_STREAMDIFFUSIONV2, EngineOptions()),
        (TINY_STREAMDIFFUSIONV2, EngineOptions(batch_steps=True)),
    ],
)
def test_keys_of_a_streams_own_are_counted_as_many_as_there_are(
    preset: Preset, options: EngineOptions
) -> None:
    """A row a step where steps are batched."""
    cpu = torch.device("cpu")
    build = Build(cpu, torch.float32, torch.float32, options=options)
    engine, params = random_engine(preset, build), StreamParams.of(preset)
    footprint = Footprint(engine)
    held = engine.open("a", params)._memory.cache().nbytes
    assert footprint.cache_bytes(params) == held
    assert footprint.of(params).own > held
    assert footprint.of(replace(params, width=128)).own == 2 * footprint.of(params).own


def test_a_cache_that_outlives_a_block_is_a_streams_own() -> None:
    params = StreamParams.of(TINY_RANDOM)
    shared = Footprint(tiny_random()).of(params)
    kept = Footprint(tiny_random(options=EngineOptions(context_every=2))).of(params)
    assert kept.own > shared.own and kept.scratch < shared.scratch
    assert kept.own + kept.scratch == shared.own + shared.scratch


def test_the_published_kv_scratch_is_the_published_size() -> None:
    assert KREA_REALTIME_14B.dims.kv_bytes(6 * 1560) == pytest.approx(7.67e9, rel=0.01)


def test_a_loaded_backend_knows_its_room_and_the_testcard_has_none_to_know() -> None:
    backend = tiny_backend()
    backend.load()
    assert isinstance(backend, KnowsItsRoom) and 1 <= backend.places() <= 64
    backend.budget.total = backend.budget.taken + 1
    assert backend.places() == 1
    assert not isinstance(TestcardBackend(), KnowsItsRoom)


def test_recorded_work_has_room_of_its_own_in_the_budget() -> None:
    """What passes and decoding need in between is held once more by their records."""
    engine, params = tiny_random(), StreamParams.of(TINY_RANDOM)
    plain = Footprint(engine)
    engine.shared = replace(engine.shared, options=EngineOptions(cuda_graph=True))
    recorded = Footprint(engine)
    between = int(plain.scratch_per_pixel * params.width * params.height)
    assert recorded.of(params).scratch == plain.of(params).scratch + between
