"""The fast decoder: published names load, streams equal one-shot runs and a frame-wise reference."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.vae.taehv import TaehvDecoder, load_taehv

CLOSE = 1e-5
WIDTHS = (256, 128, 64, 64)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes in the published `taew2_1` file: its decoder, and some of its encoder."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.0.weight": (64, 3, 3, 3),
        "encoder.2.conv.weight": (64, 128, 1, 1),
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.1.bias": (256,),
        "decoder.22.weight": (3, 64, 3, 3),
        "decoder.22.bias": (3,),
    }
    for first, grow, (width, following) in zip(
        (3, 9, 15), (1, 2, 2), pairwise(WIDTHS), strict=True
    ):
        for block in range(first, first + 3):
            for conv, inputs in ((0, 2 * width), (2, width), (4, width)):
                shapes[f"decoder.{block}.conv.{conv}.weight"] = (width, inputs, 3, 3)
                shapes[f"decoder.{block}.conv.{conv}.bias"] = (width,)
        shapes[f"decoder.{first + 4}.conv.weight"] = (grow * width, width, 1, 1)
        shapes[f"decoder.{first + 5}.weight"] = (following, width, 3, 3)
    return shapes


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, shape in published_shapes().items():
        scale = (1.5 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
        tensors[name] = torch.randn(shape, generator=generator) * scale
    # So that most colours lie inside the range, where the final clamp hides nothing.
    tensors["decoder.22.weight"] *= 0.01
    tensors["decoder.22.bias"].fill_(0.5)
    return tensors


@pytest.fixture(scope="module")
def taehv(published: dict[str, Tensor]) -> TaehvDecoder:
    return load_taehv(published)


def latents(count: int, height: int = 4, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 16, height, width, generator=generator)


def frame_by_frame(weights: dict[str, Tensor], z: Tensor) -> Tensor:
    """The decoder as its author describes it: depth first, one frame at a time; RGB in [0, 1]."""
    memory: dict[int, Tensor] = {}
    frames: list[Tensor] = []

    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        bias = weights.get(f"{name}.bias")
        return functional.conv2d(x, weights[f"{name}.weight"], bias, padding=padding)

    def walk(x: Tensor, layer: int) -> None:
        if layer == 23:
            frames.append(x.clamp(0, 1))
        elif layer == 0:
            walk(torch.tanh(x / 3) * 3, 1)
        elif layer in (2, 21):
            walk(functional.relu(x), layer + 1)
        elif layer in (6, 12, 18):
            walk(functional.interpolate(x, scale_factor=2), layer + 1)
        elif layer in (7, 13, 19):
            for part in conv(x, f"decoder.{layer}.conv", 0).split(x.shape[1], 1):
                walk(part, layer + 1)
        elif f"decoder.{layer}.weight" in weights:
            walk(conv(x, f"decoder.{layer}"), layer + 1)
        else:
            y = torch.cat((x, memory.get(layer, torch.zeros_like(x))), 1)
            memory[layer] = x
            y = functional.relu(conv(y, f"decoder.{layer}.conv.0"))
            y = functional.relu(conv(y, f"decoder.{layer}.conv.2"))
            walk(functional.relu(conv(y, f"decoder.{layer}.conv.4") + x), layer + 1)

    for latent in z.split(1):
        walk(latent, 0)
    return torch.cat(frames)


@pytest.mark.parametrize("blocks", [[3, 3, 1], [7], [1] * 7, [2, 5]])
def test_streamed_in_any_pieces_equals_the_frame_wise_reference_less_three_frames(
    published: dict[str, Tensor], taehv: TaehvDecoder, blocks: list[int]
) -> None:
    z, state = latents(7), taehv.open_decoder()
    parts = [taehv.decode(piece, state) for piece in z.split(blocks)]
    assert [len(part) for part in parts] == [4 * n - 3 * (i == 0) for i, n in enumerate(blocks)]
    expected = frame_by_frame(published, z)[3:] * 2 - 1
    assert expected.std() > 0.1 and (expected.abs() == 1).float().mean() < 0.5
    torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=CLOSE)
    assert torch.equal(torch.cat(parts), taehv.decode(z, taehv.open_decoder()))


def test_two_interleaved_streams_equal_their_solo_runs_bit_for_bit(taehv: TaehvDecoder) -> None:
    def solo(seed: int) -> Tensor:
        state = taehv.open_decoder()
        return torch.cat([taehv.decode(z, state) for z in latents(6, seed=seed).split(3)])

    expected = [solo(1), solo(2)]
    states = [taehv.open_decoder(), taehv.open_decoder()]
    frames: list[list[Tensor]] = [[], []]
    for block in range(2):
        for stream, state in enumerate(states):
            frames[stream].append(taehv.decode(latents(6, seed=stream + 1).split(3)[block], state))
    assert torch.equal(torch.cat(frames[0]), expected[0])
    assert torch.equal(torch.cat(frames[1]), expected[1])


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_with_the_published_names_loads(
    tmp_path: Path, published: dict[str, Tensor], taehv: TaehvDecoder, suffix: str
) -> None:
    path = tmp_path / f"taew2_1.{suffix}"
    save_file(published, path) if suffix == "safetensors" else torch.save(published, path)
    loaded, z = load_taehv(path), latents(2)
    expected = taehv.decode(z, taehv.open_decoder())
    assert torch.equal(loaded.decode(z, loaded.open_decoder()), expected)
    count = sum(parameter.numel() for parameter in loaded.parameters())
    assert count == sum(value.numel() for name, value in published.items() if "decoder" in name)
    assert count == pytest.approx(9.8e6, rel=0.01)


def test_a_file_with_room_for_more_growth_uses_its_latest_frames(
    published: dict[str, Tensor], taehv: TaehvDecoder
) -> None:
    grown = dict(published)
    name = "decoder.7.conv.weight"
    grown[name] = torch.cat((torch.full_like(published[name], 9.0), published[name]))
    loaded, z = load_taehv(grown), latents(1)
    expected = taehv.decode(z, taehv.open_decoder())
    assert torch.equal(loaded.decode(z, loaded.open_decoder()), expected)


def test_errors_name_the_file_and_the_key(tmp_path: Path, published: dict[str, Tensor]) -> None:
    path = tmp_path / "other.safetensors"
    lost = "decoder.4.conv.2.bias"
    save_file({name: value for name, value in published.items() if name != lost}, path)
    with pytest.raises(CheckpointError, match=r"other\.safetensors: lacks decoder\.4\.conv\.2"):
        load_taehv(path)
    save_file(published | {"decoder.1.weight": torch.zeros(256, 48, 3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"other\.safetensors: decoder\.1\.weight has shape"):
        load_taehv(path)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 32)])
def test_state_bytes_are_what_admission_was_told_and_stay_so(
    taehv: TaehvDecoder, height: int, width: int
) -> None:
    state = taehv.open_decoder()
    for _ in range(3):
        taehv.decode(latents(3, height // 8, width // 8), state)
        assert state.nbytes == taehv.decoder_state_bytes(height, width)
        kept = [
            memory.untyped_storage().nbytes() for memory in state.memories if memory is not None
        ]
        assert sum(kept) == state.nbytes  # no view that keeps a whole block


def test_half_precision_gives_float32_frames_in_range(published: dict[str, Tensor]) -> None:
    taehv = load_taehv(published, dtype=torch.bfloat16)
    frames = taehv.decode(latents(1) * 50, taehv.open_decoder())
    assert taehv.dtype == torch.bfloat16 and frames.dtype == torch.float32
    assert frames.min() >= -1 and frames.max() <= 1


def test_a_stream_keeps_its_size_and_form(taehv: TaehvDecoder) -> None:
    state = taehv.open_decoder()
    taehv.decode(latents(1, 4, 6), state)
    with pytest.raises(ValueError, match=r"latents are \[4, 6\].* got \[6, 4\]"):
        taehv.decode(latents(1, 6, 4), state)
    with pytest.raises(ValueError, match="with 16 channels, got"):
        taehv.decode(torch.zeros(1, 4, 6, 4), taehv.open_decoder())
