"""The repeated block under a compiler: whole graphs, few of them, and the same numbers."""

import pytest
from support.engines.tiny_engine import SELF_FORCING, STREAMDIFFUSIONV2, tiny_engine
from torch import Tensor
from torch._dynamo.utils import counters

from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

PARAMS = StreamParams(32, 32, num_denoising_steps=2)


pytestmark = [pytest.mark.usefixtures("fresh_compiler"), pytest.mark.timeout(300)]


def latents(blocks: int, *, bias: float, backend: str | None = None) -> list[Tensor]:
    engine = tiny_engine(options=EngineOptions(kv_attention_bias=bias))
    if backend is not None:
        engine.transformer.compile(backend=backend)
    generation = engine.open("a fox", PARAMS)
    made = []
    for _ in range(blocks):
        made.append(generation.denoise_block())
        generation.decode_block(made[-1])
    return made


@pytest.mark.parametrize(
    ("bias", "backend"), [(1.0, "inductor"), (1.0, "aot_eager"), (0.3, "aot_eager")]
)
def test_compiled_stream_has_two_graphs_without_breaks_and_equals_eager(
    bias: float, backend: str
) -> None:
    """All layers and steps share one graph for context passes and one for denoise passes."""
    eager = latents(4, bias=bias)
    compiled = latents(4, bias=bias, backend=backend)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2
    for ours, plain in zip(compiled, eager, strict=True):
        assert (ours - plain).abs().max() < 1e-4


@pytest.mark.parametrize("preset", [SELF_FORCING, STREAMDIFFUSIONV2])
def test_streams_with_keys_of_their_own_compile_without_breaks_and_equal_eager(
    preset: Preset,
) -> None:
    """A graph a window; slots that differ from layer to layer are one graph."""
    params = StreamParams.of(preset, width=32, height=32, kv_cache_num_frames=3)

    def stream(backend: str | None) -> list[Tensor]:
        engine = tiny_engine(preset=preset)
        if backend is not None:
            engine.transformer.compile(backend=backend)
        generation = engine.open("a fox", params)
        return [generation.generate_block() for _ in range(8)]

    eager = stream(None)
    compiled = stream("aot_eager")
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] <= 4
    for ours, plain in zip(compiled, eager, strict=True):
        assert (ours.int() - plain.int()).abs().max() <= 1


def test_a_transformer_told_to_stop_compiles_no_further_shape() -> None:
    """After warming up, a stream of another size runs uncompiled instead of stalling the others."""
    engine = tiny_engine()
    engine.transformer.compile(backend="aot_eager")
    engine.open("a fox", PARAMS).generate_block()
    graphs = counters["stats"]["unique_graphs"]
    engine.transformer.stop_compiling()
    engine.open("a fox", StreamParams(48, 16, num_denoising_steps=2)).generate_block()
    assert counters["stats"]["unique_graphs"] == graphs == 1
