"""A prompt that comes in between two denoise passes of a block."""

from typing import Any

import pytest
import torch
from support.engines.tiny_engine import LONGLIVE, PRESET, SELF_FORCING, tiny_engine
from torch import Tensor

from framewire.worker.engine.generation import Generation
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset


class Passes:
    """What each pass was given and made clean, by kind and block."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int], list[Tensor]] = {}

    def __call__(self, kind: str, block: int, at: int, t: float, x: Tensor, x0: Tensor) -> None:
        self.made.setdefault((kind, block), []).append(x0.clone())


def opened(preset: Preset = PRESET, trace: Any = None, **given: Any) -> Generation:
    engine = tiny_engine(preset=preset, options=given.pop("options", None))
    params = StreamParams.of(preset, width=32, height=16, seed=4, **given)
    return engine.open("a fox", params, trace=trace)


def next_block(generation: Generation, before: int = 0, **to: Any) -> Tensor:
    """Latents of one block, steered before one of its passes but the first, if it is to be."""
    asked = 0

    def between() -> bool:
        nonlocal asked
        asked += 1
        if asked == before:
            generation.steer(**to)
        return asked == before

    made = generation.denoise_block(between=between)
    generation.decode_block(made)
    return made


def unsteered(preset: Preset, trace: Any = None) -> list[Tensor]:
    generation, made = opened(preset, trace), []
    for _ in range(4):
        made.append(generation.denoise_block())
        generation.decode_block(made[-1])
    return made


@pytest.mark.parametrize("preset", [PRESET, SELF_FORCING], ids=lambda preset: preset.name)
def test_being_asked_between_passes_changes_no_bit_of_a_stream_that_is_not_steered(
    preset: Preset,
) -> None:
    generation = opened(preset)
    made = [next_block(generation) for _ in range(4)]
    assert all(torch.equal(one, other) for one, other in zip(made, unsteered(preset), strict=True))


@pytest.mark.parametrize("preset", [PRESET, SELF_FORCING], ids=lambda preset: preset.name)
@pytest.mark.parametrize("before", [1, 2, 3])
def test_the_passes_before_are_the_old_prompts_and_those_after_the_new_ones(
    preset: Preset, before: int
) -> None:
    """Where only the last pass is left too; and the next block's context is the new prompt's."""
    passes, plain = Passes(), Passes()
    generation = opened(preset, passes)
    first = next_block(generation)
    next_block(generation, before, prompt="snow", interp_steps=1)
    next_block(generation)
    assert torch.equal(first, unsteered(preset, plain)[0])
    pairs = zip(passes.made["denoise", 1], plain.made["denoise", 1], strict=True)
    assert [torch.equal(*pair) for pair in pairs] == [at < before for at in range(4)]
    context = passes.made["context", 2][-1], plain.made["context", 2][-1]
    assert not torch.equal(*context)


def test_what_is_taken_in_is_the_prompts_own_text() -> None:
    """Before the second of four passes and thus three times; the same as by the network alone."""
    generation = opened()
    taken: list[Tensor] = []
    network = generation._shared.transformer
    flow = network.forward

    def forward(x: Tensor, modulation: Any, rope: Any, cache: Any, text: Any, *rest: Any) -> Tensor:
        taken.append(text.embeds)
        return flow(x, modulation, rope, cache, text, *rest)

    network.forward = forward  # type: ignore[method-assign]
    next_block(generation, 1, prompt="snow", interp_steps=1)
    encode = generation._shared.text_encoder.encode
    fox, snow = encode("a fox"), encode("snow")
    assert [one is snow for one in taken] == [False, True, True, True]
    assert taken[0] is fox


def test_a_ramp_takes_its_first_step_in_the_block_and_the_next_ones_before_blocks() -> None:
    generation = opened()
    seen = []
    for before in (2, 0, 0, 0):
        next_block(generation, before, prompt="snow", interp_steps=3)
        seen.append(generation._ramp.current)
    fox, snow = (generation._shared.text_encoder.encode(text) for text in ("a fox", "snow"))
    assert not torch.equal(seen[0], fox) and not torch.equal(seen[1], seen[0])
    assert seen[2] is snow and seen[3] is snow


@pytest.mark.parametrize(
    ("preset", "given"),
    [
        (LONGLIVE, {}),
        (SELF_FORCING, {"prompt_switch": "flush"}),
        (PRESET, {"options": EngineOptions(cuda_graph=True)}),
    ],
    ids=["recache", "flush", "recorded"],
)
def test_where_a_prompt_takes_effect_at_a_blocks_start_only_none_is_let_in(
    preset: Preset, given: dict[str, Any]
) -> None:
    generation = opened(preset, **given)
    assert not generation.takes_prompts_mid_block
    with pytest.raises(ValueError, match="no prompt can be taken in between"):
        generation.denoise_block(between=lambda: False)
    assert generation.denoise_block().shape[0] == 3
