"""VAE weights load under both naming schemes, from both kinds of file."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import save_file
from torch import Tensor

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.vae.weights import load_vae

CONFIG = {"base_dim": 4}
RESIDUAL = [f"residual.{part}" for part in ("0.gamma", "2.weight", "2.bias", "3.gamma")]
RESIDUAL += ["residual.6.weight", "residual.6.bias"]
SHORTCUT = ["shortcut.weight", "shortcut.bias"]
RESAMPLE = ["resample.1.weight", "resample.1.bias"]
TIME = ["time_conv.weight", "time_conv.bias"]


def wan_names() -> list[str]:
    """Every parameter name of the published Wan2.1 VAE file."""
    names = [f"{conv}.{leaf}" for conv in ("conv1", "conv2") for leaf in ("weight", "bias")]
    for half in ("encoder", "decoder"):
        names += [f"{half}.conv1.weight", f"{half}.conv1.bias", f"{half}.head.0.gamma"]
        names += [f"{half}.head.2.weight", f"{half}.head.2.bias"]
        names += [f"{half}.middle.{i}.{part}" for i in (0, 2) for part in RESIDUAL]
        attention = ("norm.gamma", "to_qkv.weight", "to_qkv.bias", "proj.weight", "proj.bias")
        names += [f"{half}.middle.1.{part}" for part in attention]
    down = {2: RESAMPLE, 5: RESAMPLE + TIME, 8: RESAMPLE + TIME}
    down |= {3: RESIDUAL + SHORTCUT, 6: RESIDUAL + SHORTCUT}
    for i in range(11):
        names += [f"encoder.downsamples.{i}.{part}" for part in down.get(i, RESIDUAL)]
    up = {3: RESAMPLE + TIME, 7: RESAMPLE + TIME, 11: RESAMPLE, 4: RESIDUAL + SHORTCUT}
    for i in range(15):
        names += [f"decoder.upsamples.{i}.{part}" for part in up.get(i, RESIDUAL)]
    return names


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Random weights of a small VAE under diffusers' names."""
    return {name: value.clone() for name, value in AutoencoderKLWan(**CONFIG).state_dict().items()}


@pytest.fixture(scope="module")
def original(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the original names; the translation is diffusers' own."""
    names = convert_wan_vae_to_diffusers({name: name for name in wan_names()})
    assert names.keys() == published.keys()
    return {old: published[new] for new, old in names.items()}


@pytest.mark.parametrize("names", ["original", "published"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_with_either_names_gives_the_same_network(
    tmp_path: Path, request: pytest.FixtureRequest, names: str, suffix: str
) -> None:
    path = tmp_path / f"vae.{suffix}"
    tensors = request.getfixturevalue(names)
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    loaded = load_vae(path, CONFIG).state_dict()
    expected = request.getfixturevalue("published")
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_tensors_in_memory_are_taken_over_not_copied(original: dict[str, Tensor]) -> None:
    loaded = load_vae(original, CONFIG)
    assert loaded.quant_conv.weight.data_ptr() == original["conv1.weight"].data_ptr()
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("scheme", ["original", "published"])
def test_errors_name_the_file_and_the_key(
    tmp_path: Path, request: pytest.FixtureRequest, scheme: str
) -> None:
    tensors = dict(request.getfixturevalue(scheme))
    path = tmp_path / "broken.safetensors"
    lost = "encoder.conv1.bias" if scheme == "original" else "encoder.conv_in.bias"
    save_file({name: value for name, value in tensors.items() if name != lost}, path)
    with pytest.raises(CheckpointError, match=r"broken\.safetensors: lacks encoder\.conv_in\.bias"):
        load_vae(path, CONFIG)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"broken\.safetensors: \S+ has shape"):
        load_vae(path, {"base_dim": 8})
    with pytest.raises(CheckpointError, match=r"broken\.safetensors: has unknown|not a name"):
        save_file(tensors | {"surplus": torch.ones(1)}, path)
        load_vae(path, CONFIG)
