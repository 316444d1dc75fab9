"""Blended prompts in a stream of the engine: they show, they are steered to, they end."""

import pytest
import torch
from support.engines.tiny_engine import (
    PRESET,
    SELF_FORCING,
    STREAMDIFFUSIONV2,
    PromptTable,
    tiny_engine,
)

from framewire.protocol.prompts.blends import Blend
from framewire.worker.engine.denoising.blending import linear_blend, slerp
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

SMALL = StreamParams(32, 16, num_denoising_steps=2, seed=5)
HALF = Blend((("fox", 0.5), ("snow", 0.5)))
PRESETS = pytest.mark.parametrize("preset", [PRESET, SELF_FORCING, STREAMDIFFUSIONV2])


def asked(engine: Engine) -> list[str]:
    table = engine.shared.text_encoder
    assert isinstance(table, PromptTable)
    return list(table.seen)


@PRESETS
def test_a_blend_is_neither_of_its_texts(preset: Preset) -> None:
    engine = tiny_engine(preset=preset)
    blended, fox, snow = (
        engine.open(prompt, SMALL).generate_block() for prompt in (HALF, "fox", "snow")
    )
    assert not torch.equal(blended, fox) and not torch.equal(blended, snow)
    assert torch.equal(blended, engine.open(HALF, SMALL).generate_block())


@PRESETS
def test_a_blend_of_its_embeds_is_the_same_stream(preset: Preset) -> None:
    """What the network sees is the blend of the texts' embeds, and nothing else of them."""
    engine = tiny_engine(preset=preset)
    fox, snow = map(engine.encode_prompt, ("fox", "snow"))
    for blend, embeds in (
        (Blend((("fox", 0.25), ("snow", 0.75))), linear_blend([fox, snow], [0.25, 0.75])),
        (Blend((("fox", 0.25), ("snow", 0.75)), "slerp"), slerp(fox, snow, 0.75)),
    ):
        by_text, by_embeds = engine.open(blend, SMALL), engine.open(embeds, SMALL)
        for _ in range(2):
            assert torch.equal(by_text.generate_block(), by_embeds.generate_block())


def test_a_blend_that_is_steered_to_shows_in_the_next_block() -> None:
    engine = tiny_engine()
    stream, plain = engine.open("fox", SMALL), engine.open("fox", SMALL)
    assert torch.equal(stream.generate_block(), plain.generate_block())
    stream.steer(prompt=HALF, interp_steps=1)
    assert not torch.equal(stream.generate_block(), plain.generate_block())
    assert torch.equal(
        stream._ramp.current,
        linear_blend([engine.encode_prompt("fox"), engine.encode_prompt("snow")], [0.5, 0.5]),
    )
    stream.steer(prompt="fox", interp_steps=1)
    stream.generate_block()
    assert stream._ramp.current is engine.encode_prompt("fox")


def test_the_blend_in_use_is_no_change() -> None:
    engine = tiny_engine()
    stream = engine.open("fox", SMALL)
    stream.steer(prompt=HALF, interp_steps=4)
    stream.generate_block()
    stream.steer(prompt=Blend(HALF.parts), interp_steps=1)
    stream.generate_block()
    assert stream._ramp._taken == 2


def test_a_transition_by_slerp_is_another_way_to_the_same_prompt() -> None:
    engine = tiny_engine()
    straight, arc = engine.open("fox", SMALL), engine.open("fox", SMALL)
    straight.steer(prompt="snow", interp_steps=2)
    arc.steer(prompt="snow", interp_steps=2, transition="slerp")
    assert not torch.equal(straight.generate_block(), arc.generate_block())
    fox, snow = map(engine.encode_prompt, ("fox", "snow"))
    assert torch.equal(arc._ramp.current, slerp(fox, snow, 0.5))
    arc.generate_block()
    assert arc._ramp.current is snow


def test_a_reset_begins_with_the_blend() -> None:
    engine = tiny_engine()
    stream = engine.open("fox", SMALL)
    stream.generate_block()
    stream.steer(prompt=HALF, interp_steps=8)
    stream.reset()
    assert torch.equal(stream.generate_block(), engine.open(HALF, SMALL).generate_block())
    assert asked(engine) == ["fox", "snow"]
