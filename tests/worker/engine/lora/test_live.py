"""Live adapters: the same numbers as merged ones, a strength a stream, nothing made anew."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.engines.adapters_made import adapter_file, in_style, random_pairs
from support.engines.tape import Tape
from support.engines.tiny_engine import (
    PRESET,
    SELF_FORCING,
    TINY,
    tiny_engine,
    tiny_weights,
)
from torch import Tensor
from torch._dynamo.utils import counters

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.lora.adapter import Adapter, read_adapter
from framewire.worker.engine.lora.live import attach
from framewire.worker.engine.lora.merge import Merge
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.speed import fuse_qkv
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Adapter]:
    folder = tmp_path_factory.mktemp("adapters")
    files = [
        adapter_file(folder, name, style=style, seed=seed)
        for name, style, seed in (("ink", "kohya", 0), ("wax", "diffusers", 1))
    ]
    return [read_adapter(file, TINY) for file in files]


def live_engine(
    adapters: list[Adapter],
    *,
    usual: float = 1.0,
    fused: bool = False,
    preset: Preset = PRESET,
    dtype: torch.dtype = torch.float32,
) -> Engine:
    model = load_transformer(tiny_weights(), TINY, dtype=dtype)
    if fused:
        fuse_qkv(model)
    strengths = attach(model, [(one, usual) for one in adapters])
    engine = tiny_engine(transformer=model, preset=preset)
    engine.transformer.strengths = strengths
    return engine


def merged_engine(adapters: list[Adapter], strength: float = 1.0) -> Engine:
    merge = Merge([(one, strength) for one in adapters])
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32, change=merge)
    return tiny_engine(transformer=model)


def opened(engine: Engine, loras: Mapping[str, float] | None = None) -> Generation:
    params = StreamParams.of(
        engine.preset,
        width=32,
        height=16,
        num_denoising_steps=2,
        seed=5,
        kv_cache_num_frames=3,
        loras=loras,
    )
    return engine.open("a fox", params)


def block(stream: Generation) -> Tensor:
    latents = stream.denoise_block()
    stream.decode_block(latents)
    return latents


def blocks(stream: Generation, count: int = 3) -> list[Tensor]:
    return [block(stream) for _ in range(count)]


@pytest.mark.parametrize("fused", [False, True])
def test_strength_0_is_no_adapter_bit_for_bit(adapters: list[Adapter], fused: bool) -> None:
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    if fused:
        fuse_qkv(model)
    plain = blocks(opened(tiny_engine(transformer=model)))
    silent = opened(live_engine(adapters, fused=fused), {"ink": 0, "wax": 0})
    assert all(map(torch.equal, blocks(silent), plain))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_live_adapters_equal_merged_ones_within_rounding(
    adapters: list[Adapter], fused: bool, strength: float
) -> None:
    """Of two at once, where projections are fused as well; and they do show."""
    merged = blocks(opened(merged_engine(adapters, strength)))
    live = blocks(opened(live_engine(adapters, usual=strength, fused=fused)))
    plain = blocks(opened(tiny_engine()))
    for ours, theirs, none in zip(live, merged, plain, strict=True):
        assert (ours - theirs).abs().max() < 1e-4
        assert (ours - none).abs().max() > 0.05


def test_interleaved_streams_of_other_strengths_equal_their_own_single_runs(
    adapters: list[Adapter],
) -> None:
    """Of one engine; text keys, which these adapters change, are each stream's too."""
    wanted = [{"ink": 0.3, "wax": 2.0}, {"ink": 1.5, "wax": 0.0}, {}]
    single = [blocks(opened(live_engine(adapters), loras)) for loras in wanted]
    engine = live_engine(adapters)
    streams = [opened(engine, loras) for loras in wanted]
    for index in range(3):
        for stream, alone in zip(streams, single, strict=True):
            assert torch.equal(block(stream), alone[index])


def test_a_steer_before_block_n_takes_effect_in_block_n(adapters: list[Adapter]) -> None:
    """The blocks before are as without it; a name that it leaves out keeps its strength."""
    engine = live_engine(adapters)
    plain = blocks(opened(engine, {"wax": 0.5}), 4)
    stream = opened(engine, {"wax": 0.5})
    before = blocks(stream, 2)
    stream.steer(loras={"ink": 0.2})
    steered = block(stream)
    assert all(map(torch.equal, before, plain))
    assert (steered - plain[2]).abs().max() > 0.01
    assert stream.params.loras == {"wax": 0.5, "ink": 0.2}


@pytest.mark.parametrize("preset", [PRESET, SELF_FORCING])
def test_no_work_is_recorded_anew_when_strengths_change(
    adapters: list[Adapter], preset: Preset
) -> None:
    """The records read strengths where they lie, and what is replayed follows them."""

    def stream(engine: Engine) -> list[Tensor]:
        generation = opened(engine, {"ink": 1.0})
        made = blocks(generation, 8)
        generation.steer(loras={"ink": 0.1, "wax": 1.7})
        return made + blocks(generation, 2)

    plain = stream(live_engine(adapters, preset=preset))
    engine, tape = live_engine(adapters, preset=preset), Tape()
    engine.scratch.graphs = BlockGraphs(tape)
    generation = opened(engine, {"ink": 1.0})
    made = blocks(generation, 8)
    recorded = tape.recorded
    generation.steer(loras={"ink": 0.1, "wax": 1.7})
    made += blocks(generation, 2)
    assert recorded
    assert tape.recorded == recorded
    assert all(map(torch.equal, made, plain))


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("fused", [False, True])
def test_compiled_blocks_have_no_break_and_strengths_compile_nothing_anew(
    adapters: list[Adapter], fused: bool
) -> None:
    """One graph for context passes and one for denoise passes, for all layers, as without."""
    engine = live_engine(adapters, fused=fused)
    engine.transformer.compile(backend="aot_eager")
    stream = opened(engine)
    made = blocks(stream, 3)
    assert counters["stats"]["unique_graphs"] == 2
    stream.steer(loras={"ink": 0.3})
    made.append(block(stream))
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]
    eager = opened(live_engine(adapters, fused=fused))
    expected = blocks(eager, 3)
    eager.steer(loras={"ink": 0.3})
    expected.append(block(eager))
    for ours, plain in zip(made, expected, strict=True):
        assert (ours - plain).abs().max() < 1e-4


def test_branches_are_of_the_models_dtype(adapters: list[Adapter]) -> None:
    """bfloat16 beside bfloat16, and beside what is quantised."""
    engine = live_engine(adapters, dtype=torch.bfloat16)
    assert torch.isfinite(block(opened(engine))).all()
    branch = engine.transformer.model.blocks[0].attn1.to_q  # type: ignore[attr-defined]
    assert {branch.down.dtype, branch.gains.dtype, branch.up_0.dtype} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("loras", "said"),
    [
        ({"chalk": 1.0}, "there is no 'chalk' here, only ink, wax"),
        ({"ink": 2.5}, "ink must be 0 to 2"),
        ({"ink": float("nan")}, "ink must be 0 to 2"),
    ],
)
def test_a_strength_that_cannot_be_is_refused_and_the_stream_goes_on(
    adapters: list[Adapter], loras: Mapping[str, float], said: str
) -> None:
    engine = live_engine(adapters)
    with pytest.raises(ValueError, match=said):
        opened(engine, loras)
    stream = opened(engine)
    with pytest.raises(ValueError, match=said):
        stream.steer(prompt="a wolf", loras=loras)
    assert torch.equal(block(stream), block(opened(engine)))


def test_what_changes_more_than_linear_layers_cannot_be_live(tmp_path: Path) -> None:
    """It is refused in one line, which names what can be done."""
    tensors = in_style(random_pairs(), "comfy")
    tensors["diffusion_model.blocks.0.self_attn.q.diff_b"] = torch.ones(32)
    path = tmp_path / "extracted.safetensors"
    save_file(tensors, path)
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    with pytest.raises(CheckpointError, match="serve it merged, without --lora-live"):
        attach(model, [(read_adapter(path, TINY), 1.0)])
