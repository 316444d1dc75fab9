"""The cached, streaming engine equals a plain loop that recomputes everything."""

import pytest
import torch
from support.engines.slow_krea import SlowKrea
from support.engines.tiny_engine import TINY, tiny_engine, tiny_vae, tiny_weights
from torch import Tensor

from framewire.worker.engine.denoising.noise import SeededNoise
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.schedule import SigmaTable

CLOSE = 1e-4
PROMPTS = ["a fox", "a wide river"]


def slow(params: StreamParams, **changes: object) -> SlowKrea:
    """The plain loop on the weights of `tiny_engine`."""
    return SlowKrea(
        load_transformer(tiny_weights(), TINY, dtype=torch.float32),
        tiny_vae()._vae,
        list(SigmaTable(5.0).spread(params.num_denoising_steps)),
        window=params.kv_cache_num_frames,
        keep_first=params.keep_first_frame,
        **changes,
    )


def noise_of(params: StreamParams, blocks: int) -> list[Tensor]:
    """The draws that a stream with these params makes."""
    shape = (params.num_denoising_steps, 3, 16, params.height // 8, params.width // 8)
    source = SeededNoise(params.seed, shape)
    return [source.next_block() for _ in range(blocks)]


def made(generation: Generation, blocks: int) -> tuple[list[Tensor], list[Tensor]]:
    """A stream's latents and frames, block by block."""
    latents = []
    frames = []
    for _ in range(blocks):
        latents.append(generation.denoise_block())
        frames.append(generation.decode_block(latents[-1]))
    return latents, frames


def check(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert len(actual) == len(expected)
    for block, (ours, plain) in enumerate(zip(actual, expected, strict=True)):
        assert ours.shape == plain.shape
        assert (ours - plain).abs().max() < CLOSE, f"block {block}"


@pytest.mark.parametrize("keep_first", [False, True])
@pytest.mark.parametrize("window", range(1, 13))
def test_every_window_equals_the_plain_loop(window: int, keep_first: bool) -> None:
    """Every kv_cache_num_frames, those not divisible by three too, past the first re-encoding."""
    params = StreamParams(
        32,
        16,
        num_denoising_steps=2,
        kv_cache_num_frames=window,
        keep_first_frame=keep_first,
    )
    blocks = window // 3 + 3
    engine = tiny_engine()
    generation = engine.open(PROMPTS[0], params)
    latents, frames = made(generation, blocks)
    prompts = [engine.encode_prompt(PROMPTS[0])] * blocks
    expected, pixels = slow(params).run(noise_of(params, blocks), prompts)
    check(latents, expected)
    for ours, plain in zip(frames, pixels, strict=True):
        levels = ((plain.clamp(-1, 1) + 1) / 2 * 255).movedim(1, -1)
        assert (ours.float() - levels).abs().max() < 1 + CLOSE * 255


@pytest.mark.parametrize("size", [(16, 16), (32, 64), (80, 48), (144, 16), (16, 112)])
def test_every_size_equals_the_plain_loop(size: tuple[int, int]) -> None:
    """The smallest size, portrait, landscape and strips, each with four steps."""
    params = StreamParams(*size, num_denoising_steps=4, seed=7)
    engine = tiny_engine()
    latents, frames = made(engine.open(PROMPTS[0], params), 4)
    prompts = [engine.encode_prompt(PROMPTS[0])] * 4
    check(latents, slow(params).run(noise_of(params, 4), prompts)[0])
    assert [frame.shape[0] for frame in frames] == [6, 12, 12, 12]
    assert frames[-1].shape[1:] == (size[1], size[0], 3)


@pytest.mark.parametrize("window", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("bias", [1.0, 0.3])
def test_kv_bias_equals_a_plain_masked_softmax(window: int, bias: float) -> None:
    """Merged attentions weigh past frames but the first as an additive mask does; 1 is off."""
    params = StreamParams(32, 48, num_denoising_steps=2, kv_cache_num_frames=window)
    engine = tiny_engine(options=EngineOptions(kv_attention_bias=bias))
    latents, _ = made(engine.open(PROMPTS[0], params), 4)
    prompts = [engine.encode_prompt(PROMPTS[0])] * 4
    check(latents, slow(params, bias=bias).run(noise_of(params, 4), prompts)[0])
    if window > 1 and bias < 1:
        plain = slow(params).run(noise_of(params, 4), prompts)[0]
        assert (latents[-1] - plain[-1]).abs().max() > 10 * CLOSE


@pytest.mark.parametrize("context_prompt", ["previous", "current"])
def test_prompt_ramp_equals_the_plain_loop(context_prompt: str) -> None:
    """A ramp of n blocks uses k/n of the new prompt; contexts use the prompt the option names."""
    params = StreamParams(32, 32, num_denoising_steps=2)
    engine = tiny_engine(options=EngineOptions(context_prompt=context_prompt))
    old, new = (engine.encode_prompt(prompt) for prompt in PROMPTS)
    generation = engine.open(PROMPTS[0], params)
    latents = made(generation, 2)[0]
    generation.steer(prompt=PROMPTS[1], interp_steps=3)
    latents += made(generation, 4)[0]
    prompts = [old, old, *(torch.lerp(old, new, k / 3) for k in (1, 2, 3)), new]
    reference = slow(params, current_prompt_in_context=context_prompt == "current")
    check(latents, reference.run(noise_of(params, 6), prompts)[0])


@pytest.mark.parametrize("window", [1, 3, 6])
def test_start_frame_equals_the_plain_loop(window: int) -> None:
    """A start frame stands before the first block as nine equal pictures."""
    params = StreamParams(32, 32, num_denoising_steps=2, kv_cache_num_frames=window)
    picture = torch.randint(0, 256, (32, 32, 3), generator=torch.Generator().manual_seed(3))
    picture = picture.to(torch.uint8)
    engine = tiny_engine()
    latents, _ = made(engine.open(PROMPTS[0], params, start_frame=picture), 4)
    reference = slow(params)
    still = (picture.float() / 127.5 - 1).movedim(-1, 0)
    start = list(reference._encode(still.expand(9, -1, -1, -1)))
    prompts = [engine.encode_prompt(PROMPTS[0])] * 4
    check(latents, reference.run(noise_of(params, 4), prompts, start)[0])
