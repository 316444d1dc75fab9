"""What only a GPU can show: the same stream there, and a block that never waits for it."""

from collections.abc import Iterator

import pytest
import torch
from support.engines.tiny_engine import (
    PRESET,
    TINY,
    PromptTable,
    tiny_engine,
    tiny_vae,
    tiny_weights,
)

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
PARAMS = StreamParams(64, 48, num_denoising_steps=3, seed=5)


def gpu_engine(dtype: torch.dtype, options: EngineOptions | None = None) -> Engine:
    """`tiny_engine` on the GPU."""
    transformer = load_transformer(tiny_weights(), TINY, device="cuda", dtype=dtype)
    vae = tiny_vae()
    vae = type(vae)(vae._vae.to("cuda"))
    return Engine(
        PRESET, transformer, vae, decoder=vae, text_encoder=PromptTable(), options=options
    )


@pytest.fixture
def syncs_are_errors() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("bias", [1.0, 0.3])
def test_a_seed_means_the_same_latents_on_the_gpu(bias: float) -> None:
    """Noise comes from the CPU, so the GPU's float32 stream is the CPU's."""
    options = EngineOptions(kv_attention_bias=bias)
    streams = [
        engine.open("a fox", PARAMS)
        for engine in (gpu_engine(torch.float32, options), tiny_engine(options=options))
    ]
    for _ in range(4):
        ours, plain = (stream.denoise_block() for stream in streams)
        assert (ours.cpu() - plain).abs().max() < 1e-2
        for stream, latents in zip(streams, (ours, plain), strict=True):
            stream.decode_block(latents)


@pytest.mark.parametrize("bias", [1.0, 0.3])
def test_a_steady_block_never_waits_for_the_gpu(bias: float, syncs_are_errors: None) -> None:
    """No value is read back and no copy waits, from noise to frames."""
    engine = gpu_engine(torch.bfloat16, EngineOptions(kv_attention_bias=bias))
    stream = engine.open("a fox", PARAMS)
    for _ in range(3):
        stream.generate_block()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    frames = stream.generate_block()
    torch.cuda.set_sync_debug_mode("default")
    assert frames.is_cuda and frames.shape == (12, 48, 64, 3)
