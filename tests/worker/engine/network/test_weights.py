"""Building the transformer from published files: names, shapes, sizes and clear errors."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.engines.tiny_engine import TINY, tiny_weights
from torch import Tensor

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.weights import (
    build_transformer,
    diffusers_name,
    load_transformer,
)
from framewire.worker.engine.preset import WAN_1_3B, WAN_14B, TransformerDims

FRAME_TOKENS = 1560


def published_names(dims: TransformerDims) -> list[str]:
    """The names in the published checkpoints, without prefix, as the reference lists them."""
    both = (".weight", ".bias")
    names = [
        f"{layer}{leaf}"
        for layer in (
            "patch_embedding",
            "text_embedding.0",
            "text_embedding.2",
            "time_embedding.0",
            "time_embedding.2",
            "time_projection.1",
            "head.head",
        )
        for leaf in both
    ]
    names.append("head.modulation")
    for block in (f"blocks.{index}" for index in range(dims.layers)):
        names.append(f"{block}.modulation")
        for attention in (f"{block}.self_attn", f"{block}.cross_attn"):
            names += [f"{attention}.{part}{leaf}" for part in "qkvo" for leaf in both]
            names += [f"{attention}.norm_q.weight", f"{attention}.norm_k.weight"]
        names += [f"{block}.{part}{leaf}" for part in ("norm3", "ffn.0", "ffn.2") for leaf in both]
    return names


def published(dims: TransformerDims = TINY, prefix: str = "model.") -> dict[str, Tensor]:
    """Random weights under published names."""
    weights = tiny_weights(dims)
    return {f"{prefix}{name}": weights[diffusers_name(name)] for name in published_names(dims)}


@pytest.mark.parametrize(("dims", "billions"), [(WAN_14B, 14.288), (WAN_1_3B, 1.419)])
def test_published_shapes_have_the_published_number_of_parameters(
    dims: TransformerDims, billions: float
) -> None:
    """14B and 1.3B on the meta device; every published name is a parameter, and the other way."""
    state = build_transformer(dims).state_dict()
    assert round(sum(tensor.numel() for tensor in state.values()) / 1e9, 3) == billions
    names = published_names(dims)
    assert len(names) == len(state)
    assert {diffusers_name(name) for name in names} == set(state)
    assert {diffusers_name(f"model.{name}") for name in names} == set(state)


@pytest.mark.parametrize(("dims", "gigabytes"), [(WAN_14B, 7.67), (WAN_1_3B, 1.73)])
def test_kv_bytes_of_six_frames(dims: TransformerDims, gigabytes: float) -> None:
    """The stated size is the size of the real buffers, at 832x480 in bfloat16."""
    tokens = 6 * FRAME_TOKENS
    assert round(dims.kv_bytes(tokens) / 1e9, 2) == gigabytes
    assert KVCache(dims, tokens, "meta", torch.bfloat16).nbytes == dims.kv_bytes(tokens)


@pytest.mark.parametrize(
    "prefix", ["model.", "", "model.diffusion_model.", "model._fsdp_wrapped_module."]
)
def test_a_published_file_loads_with_any_prefix(tmp_path: Path, prefix: str) -> None:
    """Every weight lands under its diffusers name, cast to the asked dtype."""
    path = tmp_path / "krea.safetensors"
    save_file(published(prefix=prefix), path)
    state = load_transformer(path, TINY, dtype=torch.bfloat16).state_dict()
    assert {name: tensor.dtype for name, tensor in state.items()} == dict.fromkeys(
        state, torch.bfloat16
    )
    for name, expected in tiny_weights().items():
        assert torch.equal(state[name], expected.bfloat16()), name


def test_diffusers_names_and_shards_load(tmp_path: Path) -> None:
    """A checkpoint in diffusers' own names, split over two files, gives the same model."""
    weights = tiny_weights()
    names = sorted(weights)
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, part in zip(paths, (names[::2], names[1::2]), strict=True):
        save_file({name: weights[name] for name in part}, path)
    state = load_transformer(paths, TINY, dtype=torch.float32).state_dict()
    assert all(torch.equal(state[name], expected) for name, expected in weights.items())


def test_loading_takes_the_tensors_over_instead_of_copying_them() -> None:
    """In the right dtype and place the given memory becomes the model's."""
    weights = published()
    model = load_transformer(weights, TINY, dtype=torch.float32)
    assert model.proj_out.weight.data_ptr() == weights["model.head.head.weight"].data_ptr()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    """A download cut short says which file is unreadable."""
    path = tmp_path / "krea.safetensors"
    save_file(published(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"krea\.safetensors"):
        load_transformer(path, TINY)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_a_wrong_file_is_named_with_the_name_at_fault(tmp_path: Path, fault: str) -> None:
    """A weight that is missing, unknown or of another size is named, and so is the file."""
    weights = published()
    if fault == "missing":
        del weights["model.head.head.bias"]
    elif fault == "unknown":
        weights["model.vision.weight"] = torch.zeros(1)
    else:
        weights["model.head.head.bias"] = torch.zeros(3)
    path = tmp_path / "other.safetensors"
    save_file(weights, path)
    named = "vision" if fault == "unknown" else "proj_out.bias"
    with pytest.raises(CheckpointError, match=rf"other\.safetensors.*{named}"):
        load_transformer(path, TINY)
