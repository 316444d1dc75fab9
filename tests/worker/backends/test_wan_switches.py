"""Ways to a new prompt as a backend serves them: warmed up, and with room for what they take."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from framewire.worker.backends.wan import WanBackend
from framewire.worker.backends.wan_memory import Footprint
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.random_weights import TINY_LONGLIVE, TINY_RANDOM, TINY_SELF_FORCING
from framewire.worker.models.setup import ModelSetup

CPU = torch.device("cpu")


def random(preset: Preset) -> Engine:
    return random_engine(preset, Build(CPU, torch.float32, torch.float32))


@pytest.mark.parametrize(
    ("preset", "ways"),
    [(TINY_LONGLIVE, ("recache",)), (TINY_SELF_FORCING, ("blend", "flush"))],
    ids=["longlive", "self-forcing"],
)
def test_warming_up_runs_the_shapes_that_new_prompts_bring(
    preset: Preset, ways: tuple[str, ...]
) -> None:
    """None comes first in a stream, while others wait, whichever it asks for."""

    def compiled() -> Engine:
        engine = random(preset)
        engine.transformer.compile(backend="eager")
        return engine

    setup = ModelSetup(
        options=EngineOptions(compile=True), prompt_switches=",".join(ways), threads=1
    )
    backend = WanBackend(preset, compiled, setup)
    backend.load()
    network: Any = backend.engine.transformer
    warmed, run = set(network._shapes), set()
    inner = network._runner
    network._runner = lambda hidden, window: (
        run.add((hidden.shape, window)),
        inner(hidden, window),
    )[1]
    full = 1 + -(-preset.context_frames // preset.block_frames)
    for way in ways:
        generation = backend.engine.open("a", StreamParams.of(preset, prompt_switch=way))
        for block in range(2 * full + 1):
            if block in (full, full + 1):
                generation.steer(prompt=f"b {block}")
            generation.generate_block()
    assert run <= warmed
    assert len(run) > full


def test_a_recache_has_room_for_what_it_remembers_and_passes_at_once() -> None:
    """Until a peak was measured, which has it in it."""
    footprint, params = Footprint(random(TINY_LONGLIVE)), StreamParams.of(TINY_LONGLIVE)
    faded = replace(params, prompt_switch="blend")
    assert footprint.of(params).own > footprint.of(faded).own
    assert footprint.of(params).scratch > footprint.of(faded).scratch
    footprint.measured(10**6, params)
    assert footprint.of(params).scratch == footprint.of(faded).scratch


def test_what_is_allowed_is_told_and_what_a_context_has_not_is_refused() -> None:
    """A model with one way has none to choose."""

    def told(preset: Preset, *ways: str) -> tuple[str, ...]:
        setup = ModelSetup(prompt_switches=", ".join(ways))
        return WanBackend(preset, lambda: random(preset), setup).defaults.prompt_switches

    assert told(TINY_LONGLIVE) == ("recache",)
    assert told(TINY_SELF_FORCING) == ("blend",)
    assert told(TINY_SELF_FORCING, "flush", "blend") == ("flush", "blend")
    assert told(TINY_SELF_FORCING, "flush", "blend", "flush") == ("flush", "blend")
    assert told(TINY_RANDOM) == ()
    with pytest.raises(ValueError, match="'recache': of preset tiny-random it can be blend"):
        told(TINY_RANDOM, "recache")
