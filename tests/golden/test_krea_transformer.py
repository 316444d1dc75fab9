"""Single forwards of the transformer, against the reference's flows, keys and values."""

import pytest
import torch
from support.engines import golden_data
from torch import Tensor

from framewire.worker.engine.network.attention import block_group, causal_groups
from framewire.worker.engine.network.kv_cache import KVCache, TextCache
from framewire.worker.engine.network.rope import rope_table
from framewire.worker.engine.network.transformer import CausalTransformer, Window
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.preset import TransformerDims

BLOCK = 3


class Recorded:
    """The recorded weights and forwards, and an engine transformer around them."""

    def __init__(self) -> None:
        manifest = golden_data.manifest()
        dit, geometry = manifest["dit"], manifest["geometry"]
        self.tensors = golden_data.tensors("krea", "transformer.safetensors")
        self.tokens: int = geometry["frame_seqlen"]
        self.dims = TransformerDims(
            layers=dit["layers"],
            heads=dit["heads"],
            ffn_dim=dit["ffn"],
            head_dim=dit["dim"] // dit["heads"],
            text_dim=dit["text_dim"],
            freq_dim=dit["freq_dim"],
        )
        weights = {k[2:]: v for k, v in self.tensors.items() if k.startswith("w.")}
        model = load_transformer(weights, self.dims, dtype=torch.float32)
        self.transformer = CausalTransformer(model)
        rows, columns = geometry["latent_h"] // 2, geometry["latent_w"] // 2
        self.rope = rope_table(self.dims.head_dim, 9, rows, columns)
        self.text = TextCache(self.dims, "cpu", torch.float32)
        self.transformer.write_text(self.tensors["prompt_a"][0], self.text)

    def cache(self, frames: int) -> KVCache:
        return KVCache(self.dims, frames * self.tokens, "cpu", torch.float32)

    def check(self, actual: Tensor, name: str) -> None:
        found = golden_data.difference(actual, self.tensors[name])
        assert found <= golden_data.EXACT, f"{name} is off by {found:.2e}"


@pytest.mark.parametrize("mode", ["uniform", "perframe", "zero"])
@torch.no_grad()
def test_golden_krea_block_causal_forward(mode: str) -> None:
    """Nine frames in three groups: the flow, also with another timestep in every frame."""
    recorded = Recorded()
    cache = recorded.cache(9)
    flow = recorded.transformer.forward(
        recorded.tensors["x9"],
        recorded.transformer.modulation(recorded.tensors[f"full9.{mode}.t"]),
        recorded.rope.at(0, 9),
        cache,
        recorded.text,
        Window(0, causal_groups(9, BLOCK, recorded.tokens)),
    )
    recorded.check(flow, f"full9.{mode}.flow")
    if mode == "zero":
        for layer in range(recorded.dims.layers):
            for part, name in enumerate("kv"):
                recorded.check(cache.layers[layer][part], f"full9.zero.{name}.{layer}")
                recorded.check(recorded.text.layers[layer][part], f"full9.zero.x{name}.{layer}")


@torch.no_grad()
def test_golden_krea_cached_forwards() -> None:
    """A clean block, then two noisy ones in the same place after it, the second overwriting."""
    recorded = Recorded()
    cache = recorded.cache(6)
    for index, (timestep, first) in enumerate(((0.0, 0), (1000.0, BLOCK), (625.0, BLOCK))):
        flow = recorded.transformer.forward(
            recorded.tensors["x9"][:, BLOCK * index : BLOCK * (index + 1)],
            recorded.transformer.modulation(torch.tensor([[timestep]])),
            recorded.rope.at(first, BLOCK),
            cache,
            recorded.text,
            Window(first * recorded.tokens, block_group(first, BLOCK, recorded.tokens)),
        )
        recorded.check(flow, f"cached.flow{index}")
    recorded.check(cache.layers[0][0], "cached.k_final.0")
    recorded.check(cache.layers[0][1], "cached.v_final.0")
