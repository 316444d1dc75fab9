"""A stream's parameters: defaults from the preset, and errors that name what is wrong."""

from typing import Any

import pytest
from support.engines.tiny_engine import PRESET, SELF_FORCING, STREAMDIFFUSIONV2, tiny_engine

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams, check_strength
from framewire.worker.engine.preset import KREA_REALTIME_14B, Preset


def test_defaults_are_the_presets_and_none_means_absent() -> None:
    """Krea's: 832x480, four steps, shift 5, three context frames, strength 0.8."""
    params = StreamParams.of(KREA_REALTIME_14B, seed=3, width=None)
    assert params == StreamParams(832, 480, seed=3)
    assert (params.num_denoising_steps, params.kv_cache_num_frames, params.strength) == (4, 3, 0.8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 100),
        ("height", 0),
        ("kv_cache_num_frames", 0),
        ("kv_cache_num_frames", 13),
        ("num_denoising_steps", 0),
        ("denoising_steps", (1, 2)),
        ("timestep_shift", 0.0),
        ("interp_steps", 0),
        ("strength", 1.5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    """The error says which parameter and what it may be."""
    with pytest.raises(ValueError, match=name):
        StreamParams.of(KREA_REALTIME_14B, **{name: value})


def test_strength_below_a_hundredth_acts_as_a_hundredth() -> None:
    """Zero strength still has a pass to make."""
    assert [check_strength(s) for s in (0.0, 0.005, 0.5)] == [0.01, 0.01, 0.5]


def test_a_wrong_steer_changes_nothing() -> None:
    """All of a steer is refused together."""
    engine = tiny_engine()
    generation = engine.open("a fox", StreamParams(16, 16, num_denoising_steps=1))
    before = generation.params
    with pytest.raises(ValueError, match="strength"):
        generation.steer(prompt="snow", strength=2.0)
    with pytest.raises(ValueError, match="interp_steps"):
        generation.steer(prompt="snow", interp_steps=0)
    assert generation.params == before
    assert generation._ramp.target is engine.encode_prompt("a fox")


@pytest.mark.parametrize("wrong", [{"kv_attention_bias": 0.0}, {"context_every": 0}])
def test_options_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EngineOptions(**wrong)


@pytest.mark.parametrize(
    ("preset", "option"),
    [
        (SELF_FORCING, {"context_every": 2}),
        (PRESET, {"sink_frames": 3}),
        (STREAMDIFFUSIONV2, {"kv_attention_bias": 0.5}),
        (SELF_FORCING, {"batch_steps": True}),
    ],
)
def test_an_option_that_a_loop_does_not_have_is_refused_by_name(
    preset: Preset, option: dict[str, Any]
) -> None:
    """Rather than taken and ignored."""
    with pytest.raises(ValueError, match=f"{next(iter(option))} means nothing to the loop"):
        tiny_engine(preset=preset, options=EngineOptions(**option))


@pytest.mark.parametrize(
    "loop",
    [
        {"context": "ring"},
        {"context": "ring", "wrap_at": 50},
        {"context": "appended", "wrap_at": 50},
        {"context": "appended", "first_block_frames": 2},
    ],
)
def test_a_preset_with_a_loop_that_the_engine_lacks_is_refused(loop: dict[str, Any]) -> None:
    """A preset is never run as if it were another."""
    engine = tiny_engine()
    with pytest.raises(ValueError, match="preset other"):
        Engine(
            Preset("other", PRESET.dims, **loop),
            engine.transformer._model,
            engine.vae,
            decoder=engine.decoder,
            text_encoder=engine.shared.text_encoder,
        )
