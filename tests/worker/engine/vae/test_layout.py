"""The layout of convolutions: the faster one is kept, the numbers stay, cuDNN's switch goes back."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from diffusers import AutoencoderKLWan

from framewire.worker.engine.vae import layout
from framewire.worker.engine.vae.layout import fastest_kernels
from framewire.worker.engine.vae.streaming import StreamingVae


def small_vae() -> AutoencoderKLWan:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        vae = AutoencoderKLWan(base_dim=8, num_res_blocks=1)
    return vae.eval().requires_grad_(False)


def is_channels_last(vae: AutoencoderKLWan, half: str) -> bool:
    weight = getattr(vae, half).mid_block.resnets[0].conv1.weight
    return bool(weight.is_contiguous(memory_format=torch.channels_last_3d))


def scripted_clock(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Each network's plain layout and the other take so many seconds a call, one after another."""
    reading = 0.0

    def readings() -> Iterator[float]:
        nonlocal reading
        for taken in itertools.chain.from_iterable([[took] * layout._RUNS for took in seconds]):
            yield reading
            reading += taken
            yield reading

    clock = readings()
    monkeypatch.setattr(layout.time, "perf_counter", lambda: next(clock))


def test_each_network_keeps_the_layout_that_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = small_vae()
    scripted_clock(monkeypatch, 1.0, 0.5, 1.0, 2.0)
    found = StreamingVae(inner).tune(32, 48)
    assert found == {"decoder": pytest.approx(2.0), "encoder": 1.0}
    assert is_channels_last(inner, "decoder") and not is_channels_last(inner, "encoder")


def test_what_is_hardly_faster_is_not_worth_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = small_vae()
    scripted_clock(monkeypatch, 1.0, 0.98, 1.0, 0.98)
    assert StreamingVae(inner).tune(32, 48) == {"decoder": 1.0, "encoder": 1.0}
    assert not is_channels_last(inner, "decoder")


def test_frames_and_latents_differ_by_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, tuned = StreamingVae(small_vae()), StreamingVae(small_vae())
    scripted_clock(monkeypatch, 1.0, 0.5, 1.0, 0.5)
    tuned.tune(32, 48)
    latents = torch.randn(5, 16, 4, 6, generator=torch.Generator().manual_seed(1))
    frames = plain.decode(latents, plain.open_decoder())
    assert frames.std() > 0.01
    torch.testing.assert_close(
        tuned.decode(latents, tuned.open_decoder()), frames, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        tuned.encode(frames, tuned.open_encoder()),
        plain.encode(frames, plain.open_encoder()),
        rtol=0,
        atol=1e-4,
    )


def test_cudnn_measures_kernels_inside_only_whatever_happens() -> None:
    assert not torch.backends.cudnn.benchmark
    with pytest.raises(ZeroDivisionError), fastest_kernels():
        assert torch.backends.cudnn.benchmark
        raise ZeroDivisionError
    assert not torch.backends.cudnn.benchmark
