"""Adapters' files: the styles that people have, and what is refused, each in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.engines.adapters_made import STYLES, adapter_file, in_style, random_pairs
from support.engines.tiny_engine import TINY, tiny_weights
from torch import Tensor

from framewire.worker.engine.build import WeightFiles, own_adapter
from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.lora.adapter import adapter_of, read_adapter
from framewire.worker.engine.lora.alpha import said_alpha
from framewire.worker.engine.lora.live import attach
from framewire.worker.engine.lora.merge import Merge
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.preset import KREA_REALTIME_14B, LONGLIVE_1_3B


def merged(path: Path, strength: float = 1.0) -> dict[str, Tensor]:
    merge = Merge([(read_adapter(path, TINY), strength)])
    model = load_transformer(tiny_weights(), TINY, dtype=torch.float32, change=merge)
    return dict(model.named_parameters())  # type: ignore[no-any-return]


def test_merged_weights_are_the_plain_sum_in_float64(tmp_path: Path) -> None:
    """W + s·(alpha/rank)·B·A for every layer that it names, and nothing else moves."""
    pairs, plain = random_pairs(), tiny_weights()
    for name, value in merged(adapter_file(tmp_path), 0.7).items():
        expected = plain[name].double()
        pair = pairs.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        if pair is None:
            assert torch.equal(value, plain[name])
            continue
        down, up, alpha = pair
        expected = expected + 0.7 * alpha / len(down) * up.double() @ down.double()
        assert (value.double() - expected).abs().max() < 1e-6


def test_all_styles_of_one_adapter_give_equal_weights(tmp_path: Path) -> None:
    """Diffusers', PEFT's, Kohya's and ComfyUI's names, with alpha in the file or in the matrices."""
    first, *others = [merged(adapter_file(tmp_path, s, style=s)) for s in STYLES]
    for other in others:
        for name, value in first.items():
            assert (value - other[name]).abs().max() < 1e-6, name


def test_alpha_is_read_from_what_is_beside_the_tensors(tmp_path: Path) -> None:
    """PEFT's adapter_config.json, or the metadata that diffusers writes; else it is the rank."""
    tensors = in_style(random_pairs(alpha=1.0), "diffusers")
    (tmp_path / "peft").mkdir()
    files = [tmp_path / "plain.safetensors", tmp_path / "peft" / "a.safetensors"]
    for file in files:
        save_file(tensors, file)
    files.append(tmp_path / "diffusers.safetensors")
    metadata = {"lora_adapter_metadata": '{"transformer.lora_alpha": 6, "transformer.r": 2}'}
    save_file(tensors, files[-1], metadata)
    (tmp_path / "peft" / "adapter_config.json").write_text('{"lora_alpha": 6, "r": 2}')
    layer = "blocks.0.attn1.to_q"
    gains = [read_adapter(file, TINY).pairs[layer].gain for file in files]
    assert gains == [1.0, 3.0, 3.0]


def test_alpha_is_said_beside_a_torch_file_too(tmp_path: Path) -> None:
    """As PEFT writes them where it is told to; such a file itself says none."""
    path = tmp_path / "adapter_model.bin"
    torch.save(in_style(random_pairs(), "peft"), path)
    assert said_alpha(path) is None
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 6, "r": 2}')
    assert said_alpha(path) == 6


def test_the_adapter_that_is_a_part_of_a_model_is_as_strong_as_its_config_says(
    tmp_path: Path,
) -> None:
    path = adapter_file(tmp_path, "part", style="peft")
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 6, "r": 2}')
    files = WeightFiles([], tmp_path, tmp_path, adapter=path)
    ((adapter, strength),) = own_adapter(replace(LONGLIVE_1_3B, dims=TINY), files)
    assert (adapter.pairs["blocks.0.attn1.to_q"].gain, strength) == (3.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_an_adapter_in_float8_counts_as_the_numbers_that_it_holds(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    """Merged, and in branches beside the weights."""
    small = {name: value.to(dtype) for name, value in in_style(random_pairs(), "kohya").items()}
    save_file(small, tmp_path / "small.safetensors")
    save_file({name: value.float() for name, value in small.items()}, tmp_path / "f32.safetensors")
    one, other = tmp_path / "small.safetensors", tmp_path / "f32.safetensors"
    weights = merged(one)
    for name, value in merged(other).items():
        assert torch.equal(weights[name], value), name
    models = [load_transformer(tiny_weights(), TINY, dtype=torch.float32) for _ in range(2)]
    for path, model in zip((one, other), models, strict=True):
        attach(model, [(read_adapter(path, TINY), 0.5)])
    beside = [dict(model.named_buffers()) for model in models]
    assert beside[0] and beside[0].keys() == beside[1].keys()
    assert all(torch.equal(value, beside[1][name]) for name, value in beside[0].items())


def test_a_published_torch_files_tensors_make_an_adapter_too() -> None:
    """LongLive's adapter is a section of a training checkpoint with PEFT's names."""
    found = adapter_of(in_style(random_pairs(), "peft"), TINY, source="lora.pt", alpha=None)
    assert found.pairs.keys() == random_pairs().keys()


def test_biases_and_norms_that_are_added_whole_are_merged(tmp_path: Path) -> None:
    """As ComfyUI's extracted adapters have them beside their pairs."""
    added = torch.full((32,), 0.5)
    path = tmp_path / "extracted.safetensors"
    save_file(
        {
            "diffusion_model.blocks.0.self_attn.q.diff_b": added,
            "diffusion_model.blocks.1.self_attn.norm_k.diff": added.clone(),
        },
        path,
    )
    weights, plain = merged(path), tiny_weights()
    for name in ("blocks.0.attn1.to_q.bias", "blocks.1.attn1.norm_k.weight"):
        assert torch.equal(weights[name], plain[name] + 0.5)


_METADATA = {
    "alpha nan": '{"lora_alpha": NaN}',
    "alpha huge": '{"transformer.lora_alpha": 1e308}',
    "alpha too long": '{"lora_alpha": 1' + "0" * 400 + "}",
    "no json": "{",
    "deep": "[" * 100_000,
    "rslora": '{"transformer.lora_alpha": 6, "transformer.use_rslora": true}',
    "patterns": '{"lora_alpha": 6, "alpha_pattern": {"to_q": 3}}',
}


def _broken(folder: Path, how: str) -> Path:
    tensors = in_style(random_pairs(), "kohya")
    path = folder / f"{how}.safetensors"
    first = "lora_unet_blocks_0_self_attn_q"
    if how == "shape":
        tensors[f"{first}.lora_up.weight"] = torch.zeros(48, 2)
    elif how == "rank":
        tensors[f"{first}.lora_up.weight"] = torch.zeros(32, 5)
    elif how == "half":
        del tensors[f"{first}.lora_up.weight"]
    elif how == "nan":
        tensors[f"{first}.lora_down.weight"][1, 3] = torch.nan
    elif how == "deeper":
        tensors["lora_unet_blocks_7_self_attn_q.lora_down.weight"] = torch.zeros(2, 32)
        tensors["lora_unet_blocks_7_self_attn_q.lora_up.weight"] = torch.zeros(32, 2)
    elif how == "flux":
        tensors = {"transformer.single_transformer_blocks.0.proj_mlp.lora_A.weight": torch.ones(2)}
    elif how == "text":
        tensors = {"lora_te1_text_model_encoder.lora_down.weight": torch.ones(2, 2)}
    elif how == "lokr":
        tensors = {f"{first}.lokr_w1": torch.ones(2, 2)}
    elif how == "i2v":
        tensors = {"diffusion_model.blocks.0.cross_attn.k_img.lora_A.weight": torch.ones(2, 32)}
    elif how == "whole model":
        tensors = tiny_weights()
    elif how == "nan in float8":
        tensors[f"{first}.lora_down.weight"][1, 3] = torch.nan
        tensors = {name: value.to(torch.float8_e4m3fn) for name, value in tensors.items()}
    elif how == "float4":
        half = torch.ones(2, 16, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
        tensors[f"{first}.lora_down.weight"] = half
    elif how == "complex alpha":
        tensors[f"{first}.alpha"] = torch.tensor(1 + 2j)
    elif how == "whole numbers":
        tensors[f"{first}.lora_down.weight"] = torch.ones(2, 32, dtype=torch.int8)
    elif how == "huge":
        tensors[f"{first}.lora_down.weight"] *= 1e30
    elif how == "nothing":
        tensors = {}
    if how in _METADATA:
        tensors = in_style(random_pairs(), "diffusers")
    save_file(
        tensors, path, {"lora_adapter_metadata": _METADATA[how]} if how in _METADATA else None
    )
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "text file":
        path.write_text("an unrelated file", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("shape", "attn1.to_q is changed as one of 48x32, but this model has 32x32 there"),
        ("rank", "rank 2 on one side and 5 on the other"),
        ("half", "has no up matrix"),
        ("nan", "lora_unet_blocks_0_self_attn_q.lora_down.weight has values that are not finite"),
        ("nan in float8", "self_attn_q.lora_down.weight has values that are not finite"),
        (
            "float4",
            "self_attn_q.lora_down.weight is of float4_e2m1fn_x2; no numbers can be read from it",
        ),
        ("complex alpha", "self_attn_q.alpha is of complex64; only floats can be read"),
        ("deeper", "blocks.7.attn1.to_q, which this model does not have"),
        ("flux", "this adapter is for another model"),
        ("text", "changes a text encoder"),
        ("lokr", "is of LoKr; only LoRA can be read"),
        ("i2v", "cross_attn.k_img is no layer"),
        ("whole model", "is no part of a LoRA"),
        ("truncated", "not a readable safetensors file"),
        ("text file", "not a readable safetensors file"),
        ("whole numbers", "is of int8; only floats"),
        ("huge", "no weights are so large, so it is damaged"),
        ("nothing", "holds no tensor"),
        ("alpha nan", "changed by up to nan"),
        ("alpha huge", "no weights are so large"),
        ("alpha too long", "its alpha cannot be read"),
        ("no json", "its alpha cannot be read"),
        ("deep", "its alpha cannot be read"),
        ("rslora", "is made with use_rslora"),
        ("patterns", "is made with alpha_pattern"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, how: str, said: str
) -> None:
    path = _broken(tmp_path, how)
    with pytest.raises(CheckpointError) as refused:
        read_adapter(path, TINY)
    message = str(refused.value)
    assert said in message
    assert str(path) in message
    assert "\n" not in message


def test_a_pickled_file_is_not_opened(tmp_path: Path) -> None:
    """What could run code when it is read is refused by its name alone."""
    path = tmp_path / "style.pt"
    torch.save(in_style(random_pairs(), "peft"), path)
    with pytest.raises(CheckpointError, match="safetensors files only"):
        read_adapter(path, TINY)


def test_an_adapter_of_the_small_model_is_refused_by_the_large_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"32x32, but this model has 5120x5120 there"):
        read_adapter(adapter_file(tmp_path), KREA_REALTIME_14B.dims)
