"""A stream that several ranks make is the stream that one makes, whatever its loop and its steering."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.engines.tiny_engine import TINY, PromptTable, tiny_vae, tiny_weights
from torch import Tensor

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import PRESETS, Preset
from framewire.worker.engine.ranks.leader import Ranks, check_ranks
from framewire.worker.engine.tiny.model import TINY as SHIPPED
from framewire.worker.engine.tiny.model import load_tiny

RanksOf = Callable[[int], Ranks]
BOUND = 1e-5
"""Products of fewer rows add up in another order."""
BLOCKS = 9

CASES: list[tuple[str, int, dict[str, Any]]] = [
    *((name, 4, {}) for name in PRESETS),
    *((name, 2, {}) for name in PRESETS),
    ("krea-realtime-14b", 2, {"options": EngineOptions(context_every=2)}),
    ("krea-realtime-14b", 2, {"options": EngineOptions(fuse_qkv=True), "keep_first_frame": True}),
    ("self-forcing-1.3b", 2, {"options": EngineOptions(sink_frames=3)}),
    ("self-forcing-1.3b", 2, {"prompt_switch": "flush"}),
    ("streamdiffusionv2-1.3b", 2, {"options": EngineOptions(batch_steps=True)}),
    ("krea-realtime-14b", 3, {}),  # of 3 heads; 6 tokens a block
    ("streamdiffusionv2-1.3b", 3, {}),  # 2 tokens a frame: a rank has none of its own
]


def small(name: str, heads: int) -> Preset:
    """The loop of a preset around a network of so many heads; Self-Forcing's window made short."""
    changes = {"context_frames": 6} if "forcing" in name else {}
    return PRESETS[name].with_dims(f"small {name}", replace(TINY, heads=heads), **changes)


def engine_of(preset: Preset, options: EngineOptions, ranks: Ranks | None) -> Engine:
    model = load_transformer(tiny_weights(preset.dims), preset.dims, dtype=torch.float32)
    if ranks is not None:
        ranks.load(model, preset.dims, options)
    vae = tiny_vae()
    parts: dict[str, Any] = {"decoder": vae, "text_encoder": PromptTable(), "options": options}
    return Engine(preset, model, vae, **parts, ranks=ranks)


def streams(engine: Engine, live: bool, **params: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Frames and clean latents of two streams in turn, steered, one of them reset."""
    size = {"width": 32, "height": 16, "num_denoising_steps": 2, "seed": 5}
    given = StreamParams.of(engine.preset, **(size | params))
    start = torch.full((16, 32, 3), 90, dtype=torch.uint8)
    latents: list[Tensor] = []

    def trace(*seen: Any) -> None:
        latents.append(seen[-1].clone())

    one = engine.open("a red ball", given, trace=trace)
    other = engine.open("a star", given, start_frame=None if live else start)
    frames = []
    for block in range(BLOCKS):
        if block == 3:
            one.steer(prompt="a blue ring", interp_steps=2, strength=0.6)
        if block == 6:
            other.reset()
        for stream in (one, other):
            pictures = None
            if live:
                generator = torch.Generator().manual_seed(block)
                shape = (stream.pictures_needed, 16, 32, 3)
                pictures = torch.randint(0, 255, shape, dtype=torch.uint8, generator=generator)
            frames.append(stream.generate_block(pictures))
    return frames, latents


def differs(ones: list[Tensor], others: list[Tensor]) -> float:
    assert [one.shape for one in ones] == [other.shape for other in others]
    return max(
        float((one.float() - other.float()).abs().max())
        for one, other in zip(ones, others, strict=True)
        if one.numel()
    )


@pytest.mark.parametrize(("name", "count", "given"), sorted(CASES, key=lambda case: case[1]))
def test_ranks_make_what_one_process_makes(
    name: str, count: int, given: dict[str, Any], ranks_of: RanksOf
) -> None:
    """Every context: two streams in turn, with a ramp, a start frame, live input and a reset."""
    options = given.get("options", EngineOptions())
    params = {key: value for key, value in given.items() if key != "options"}
    preset = small(name, heads=4 if count != 3 else 3)
    live = "streamdiffusion" in name
    alone = streams(engine_of(preset, options, None), live, **params)
    shared = streams(engine_of(preset, options, ranks_of(count)), live, **params)
    assert len(alone[1]) > BLOCKS
    assert differs(alone[1], shared[1]) <= BOUND
    assert differs(alone[0], shared[0]) <= 1


def test_a_prompt_that_comes_between_two_passes_is_every_ranks(ranks_of: RanksOf) -> None:
    """It goes to the others as any order does, and the pass after it is the new prompt's on all."""
    preset = small("krea-realtime-14b", heads=2)
    params = StreamParams.of(preset, width=32, height=16, num_denoising_steps=4, seed=5)

    def made(ranks: Ranks | None, at: int | None) -> list[Tensor]:
        stream = engine_of(preset, EngineOptions(), ranks).open("a red ball", params)
        asked = 0

        def between() -> bool:
            nonlocal asked
            asked += 1
            if asked == at:
                stream.steer(prompt="a blue ring", interp_steps=1)
            return asked == at

        latents = []
        for _ in range(3):
            latents.append(stream.denoise_block(between=between))
            stream.decode_block(latents[-1])
        return latents

    plain, alone, shared = made(None, None), made(None, 5), made(ranks_of(2), 5)
    assert differs(alone, shared) <= BOUND
    assert torch.equal(plain[0], alone[0]) and differs(plain[1:2], alone[1:2]) > 100 * BOUND


def test_the_shipped_model_of_four_heads_is_the_same_on_two_ranks(ranks_of: RanksOf) -> None:
    params = StreamParams.of(SHIPPED, seed=3)
    found: list[list[Tensor]] = []
    for ranks in (None, ranks_of(2)):
        stream = load_tiny(ranks=ranks).open("a red circle", params)
        found.append([stream.generate_block() for _ in range(3)])
    assert differs(*found) <= 1


def test_a_compiled_pass_is_shared_without_a_break_in_its_graph(ranks_of: RanksOf) -> None:
    """`fullgraph` raises where a compiler cannot follow, the exchanges included."""
    preset = small("krea-realtime-14b", heads=2)
    ranks = ranks_of(2)
    engine = engine_of(preset, EngineOptions(), ranks)
    engine.transformer.compile(backend="aot_eager")
    plain = engine_of(preset, EngineOptions(), None)
    params = StreamParams.of(preset, width=32, height=16, num_denoising_steps=1, seed=5)
    found = [
        [each.open("a", params).generate_block() for _ in range(1)] for each in (plain, engine)
    ]
    assert differs(*found) <= 1


@pytest.mark.parametrize(
    ("heads", "count", "fit"), [(40, 3, "1, 2, 4, 5, 8"), (12, 5, "1, 2, 3, 4, 6"), (2, 4, "1, 2")]
)
def test_a_number_that_heads_cannot_be_shared_out_to_is_refused_with_those_that_fit(
    heads: int, count: int, fit: str
) -> None:
    preset = PRESETS["krea-realtime-14b"].with_dims("p", replace(TINY, heads=heads))
    with pytest.raises(ValueError, match=f"num_gpus may be {fit}$"):
        check_ranks(preset, EngineOptions(), count)
