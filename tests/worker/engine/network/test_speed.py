"""What may be done to be faster: each is equal to the plain way, or says why it cannot be had."""

import sys

import pytest
import torch
from support.engines.tape import Tape
from support.engines.tiny_engine import (
    SELF_FORCING,
    STREAMDIFFUSIONV2,
    TINY,
    tiny_engine,
    tiny_weights,
)
from torch import Tensor

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.speed import SpeedError, fuse_qkv, to_fp8
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

SMALL = StreamParams(32, 16, num_denoising_steps=2, seed=5)


def latents(engine: Engine, blocks: int = 4) -> list[Tensor]:
    stream = engine.open("a fox", SMALL)
    made = []
    for _ in range(blocks):
        made.append(stream.denoise_block())
        stream.decode_block(made[-1])
    return made


def test_fused_projections_make_the_same_latents_and_keep_no_unfused_copy() -> None:
    plain = latents(tiny_engine())
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    before = sum(p.numel() for p in model.parameters())
    fuse_qkv(model)
    assert sum(p.numel() for p in model.parameters()) == before
    engine = tiny_engine(transformer=model)
    products = []
    for block in model.blocks:
        block.attn1.to_qkv.register_forward_hook(lambda *call: products.append(call))
    for fused, unfused in zip(latents(engine), plain, strict=True):
        assert (fused - unfused).abs().max() < 1e-5
    assert len(products) > 4 * len(model.blocks), "the stream ran through the fused layers"


def test_fp8_says_what_it_needs() -> None:
    """Without a GPU that has fp8 products, in a line; nothing is changed."""
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    with pytest.raises(SpeedError, match=r"compute capability 8\.9"):
        to_fp8(model)


def test_fp8_without_torchao_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32)
    monkeypatch.setattr("framewire.worker.engine.network.speed.fp8_products", lambda device: True)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(SpeedError, match="pip install torchao"):
        to_fp8(model)


def test_replayed_blocks_are_bit_identical_and_recorded_once_for_all_streams() -> None:
    """What varies goes through buffers that stay; streams of a size share the records."""
    plain = latents(tiny_engine())
    engine, tape = tiny_engine(), Tape()
    engine.scratch.graphs = BlockGraphs(tape)
    assert all(map(torch.equal, latents(engine), plain))
    recorded = tape.recorded
    assert recorded == 3  # block 0, the context of later blocks, and those blocks
    assert all(map(torch.equal, latents(engine), plain))
    assert tape.recorded == recorded
    assert tape.replayed == 2 * (4 + 3)


def test_a_cache_that_moves_takes_its_records_with_it() -> None:
    """A larger stream gets a larger scratch; the smaller one's work is recorded anew."""
    engine, tape = tiny_engine(), Tape()
    engine.scratch.graphs = BlockGraphs(tape)
    plain = latents(tiny_engine())
    small = engine.open("a fox", SMALL)
    first = small.denoise_block()
    small.decode_block(first)
    larger = StreamParams(64, 32, num_denoising_steps=2, seed=5)
    engine.open("a fox", larger).generate_block()
    second = small.denoise_block()
    assert torch.equal(first, plain[0])
    assert torch.equal(second, plain[1])


@pytest.mark.parametrize(
    ("preset", "context", "recorded"), [(SELF_FORCING, 3, 2), (STREAMDIFFUSIONV2, 3, 2)]
)
def test_streams_with_keys_of_their_own_record_what_repeats_and_stay_bit_identical(
    preset: Preset, context: int, recorded: int
) -> None:
    """Positions, slots and noise levels vary from block to block; none of them is baked in."""
    params = StreamParams.of(preset, width=32, height=16, seed=5, kv_cache_num_frames=context)

    def stream(engine: Engine) -> list[Tensor]:
        generation = engine.open("a fox", params)
        frames = []
        for block in range(12):
            shape = (generation.pictures_needed, 16, 32, 3)
            rng = torch.Generator().manual_seed(block)
            source = torch.randint(0, 256, shape, generator=rng).to(torch.uint8)
            frames.append(generation.generate_block(source if preset.motion else None))
        return frames

    plain = stream(tiny_engine(preset=preset))
    engine, tape = tiny_engine(preset=preset), Tape()
    engine.scratch.graphs = BlockGraphs(tape)
    assert all(map(torch.equal, stream(engine), plain))
    assert tape.recorded == recorded
    assert tape.replayed > 3 * recorded


def test_cuda_graphs_without_cuda_say_so() -> None:
    engine = tiny_engine()
    engine.scratch.graphs = BlockGraphs()
    with pytest.raises(SpeedError, match="CUDA graphs need a CUDA device, not cpu"):
        engine.open("a fox", SMALL).denoise_block()
