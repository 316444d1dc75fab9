"""The text encoder against the reference's, from its weights under Wan's names."""

from typing import Any

import pytest
import torch
from support.engines.golden_data import EXACT, difference, manifest, tensors

from framewire.worker.engine.text.encoder import TextEncoder
from framewire.worker.engine.text.weights import load_umt5, transformers_name

CONFIG = {
    "vocab_size": 97,
    "d_model": 32,
    "d_ff": 80,
    "d_kv": 8,
    "num_heads": 4,
    "num_layers": 3,
}


def test_every_wan_name_maps_as_the_golden_manifest_says() -> None:
    expected = manifest()["t5_key_map"]
    assert {name: transformers_name(name) for name in expected} == expected
    weights = [name for name in tensors("krea", "text.safetensors") if name.startswith("w.")]
    assert len(weights) == len(expected)


@pytest.fixture
def model() -> Any:
    golden = tensors("krea", "text.safetensors")
    weights = {
        name.removeprefix("w."): value for name, value in golden.items() if name.startswith("w.")
    }
    return load_umt5(weights, CONFIG, dtype=torch.float32)


def test_the_encoder_with_wans_weights_gives_the_references_output(model: Any) -> None:
    golden = tensors("krea", "text.safetensors")
    output = model(golden["ids"], attention_mask=golden["mask"]).last_hidden_state
    assert difference(output, golden["out"]) < EXACT


def test_a_prompts_embeddings_are_the_references_with_zeros_to_512(model: Any) -> None:
    golden = tensors("krea", "text.safetensors")
    true = golden["mask"][0].bool()

    def tokenize(text: str, **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": golden["ids"][:, true]}

    embeds = TextEncoder(tokenize, model).encode("the golden prompt")
    assert embeds.shape == (512, 32)
    assert difference(embeds[:20][true], golden["out"][0][true]) < EXACT
    assert not embeds[int(true.sum()) :].any()
