"""Weight files: what can be read, and what the errors say."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.engines.tiny_engine import TINY, tiny_weights
from torch import Tensor, nn

from framewire.worker.engine.checkpoint import CheckpointError, assign, read_tensors
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.preset import SELF_FORCING_1_3B, STREAMDIFFUSIONV2_1_3B, Preset

NESTED = {"generator": 1.0, "generator_ema": 2.0, "critic": 3.0}
WAN_NAMES = (
    (r"^scale_shift_table", "head.modulation"),
    (r"scale_shift_table", "modulation"),
    (r"^proj_out", "head.head"),
    (r"attn1\.", "self_attn."),
    (r"attn2\.", "cross_attn."),
    (r"to_out\.0", "o"),
    (r"to_([qkv])\.", r"\1."),
    (r"norm2\.", "norm3."),
    (r"ffn\.net\.0\.proj", "ffn.0"),
    (r"ffn\.net\.2", "ffn.2"),
    (r"condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"condition_embedder\.time_proj", "time_projection.1"),
)
CPU = torch.device("cpu")


def linear() -> nn.Linear:
    with torch.device("meta"):
        return nn.Linear(2, 3)


def weights() -> dict[str, Tensor]:
    return {"weight": torch.arange(6.0).view(3, 2), "bias": torch.ones(3)}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_both_kinds_of_file_give_their_tensors_and_a_prefix_picks_some(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"w.{suffix}"
    tensors = {"a.x": torch.randn(2, 3), "b.x": torch.randn(4)}
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    assert read_tensors(path).keys() == {"a.x", "b.x"}
    assert torch.equal(read_tensors(path, prefix="a.")["a.x"], tensors["a.x"])
    with pytest.raises(CheckpointError, match=r"w\..*no tensor whose name starts with 'c\.'"):
        read_tensors(path, prefix="c.")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_or_missing_file_is_named_in_the_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken.{suffix}"
    with pytest.raises(CheckpointError, match=r"broken.*no such weight file"):
        read_tensors(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(CheckpointError, match=r"broken.*not a readable"):
        read_tensors(path)


def test_a_torch_file_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save(nn.Linear(1, 1), path)
    with pytest.raises(CheckpointError, match=r"code\.pth"):
        read_tensors(path)


def test_a_torch_file_of_something_else_says_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"step": 3}, path)
    with pytest.raises(CheckpointError, match=r"other.pth: 'step' is a int"):
        read_tensors(path)
    torch.save([torch.ones(1)], path)
    with pytest.raises(CheckpointError, match=r"other.pth: holds a list"):
        read_tensors(path)


def test_assigning_takes_the_tensors_over_without_a_copy() -> None:
    module, tensors = linear(), weights()
    assign(module, tensors, source="here", device=CPU, dtype=torch.float32)
    assert module.weight.data_ptr() == tensors["weight"].data_ptr()
    assert torch.equal(module(torch.ones(1, 2)), torch.tensor([[2.0, 6.0, 10.0]]))
    assert not module.weight.requires_grad


def test_assigning_casts() -> None:
    module = linear()
    assign(module, weights(), source="here", device=CPU, dtype=torch.bfloat16)
    assert module.weight.dtype == module.bias.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, "w.pth: lacks bias"),
        ({"extra": torch.ones(1)}, "w.pth: has unknown extra"),
        ({"weight": torch.ones(2, 2)}, r"w.pth: weight has shape \[2, 2\].*needs \[3, 2\]"),
        ({f"x{i}": torch.ones(1) for i in range(7)}, "x0, x1, x2, x3, x4 and 2 more"),
    ],
)
def test_what_does_not_fit_is_named_with_its_file(
    change: dict[str, Tensor | None], message: str
) -> None:
    tensors = {name: value for name, value in (weights() | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        assign(linear(), tensors, source="w.pth", device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    ("sections", "found"),
    [(("generator_ema",), 2.0), (("generator", "generator_ema"), 1.0), (("state_dict", "x"), None)],
)
def test_the_best_section_of_a_training_checkpoint_is_read(
    tmp_path: Path, sections: tuple[str, ...], found: float | None
) -> None:
    """Self-Forcing's file nests the sets of weights that its training had; no other is touched."""
    path = tmp_path / "nested.pt"
    sets = {name: {"model.w": torch.full((2,), value)} for name, value in NESTED.items()}
    torch.save(sets | {"step": 3}, path)
    if found is None:
        with pytest.raises(CheckpointError, match=r"nested\.pt: has none of the sections state_d"):
            read_tensors(path, sections=sections)
    else:
        assert read_tensors(path, sections=sections)["model.w"].tolist() == [found, found]


def test_a_file_without_sections_is_read_whole(tmp_path: Path) -> None:
    """So is a converted checkpoint."""
    path = tmp_path / "flat.pt"
    torch.save(weights(), path)
    assert read_tensors(path, sections=("generator",)).keys() == weights().keys()


@pytest.mark.parametrize("preset", [SELF_FORCING_1_3B, STREAMDIFFUSIONV2_1_3B])
def test_a_published_checkpoint_becomes_a_transformer(tmp_path: Path, preset: Preset) -> None:
    """Nested, with original names under `model.`."""
    path = tmp_path / "model.pt"
    tiny = tiny_weights()
    original = {f"model.{original_name(name)}": value for name, value in tiny.items()}
    torch.save(dict.fromkeys((*preset.sections, "critic"), original), path)
    model = load_transformer(path, TINY, dtype=torch.float32, sections=preset.sections)
    for name, value in model.state_dict().items():
        assert torch.equal(value, tiny[name])


def original_name(name: str) -> str:
    """A name in Wan's own words, by trying those that the loader knows."""
    for theirs, ours in WAN_NAMES:
        name = re.sub(theirs, ours, name)
    return name
