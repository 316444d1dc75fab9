"""The forward pass that training uses is the engine's: what is learned is what runs."""

from typing import cast

import torch
from diffusers import WanTransformer3DModel
from train_tiny.batches import pair
from train_tiny.forward import Rows, TrainingForward
from train_tiny.world import HEIGHT, START_COLUMNS, START_ROW, WIDTH

from framewire.worker.engine.attention import block_group, causal_groups
from framewire.worker.engine.kv_cache import KVCache, TextCache
from framewire.worker.engine.rope import rope_table
from framewire.worker.engine.tiny import TINY_DIMS, build
from framewire.worker.engine.transformer import CausalTransformer, Window

H, W = 4, 6
TOKENS = H * W // 4


def test_training_and_engine_predict_the_same() -> None:
    """A context, a block after it and a first block, each with its own text and timestep."""
    torch.manual_seed(0)
    model = cast(WanTransformer3DModel, build(["red"])[0]).requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.02)
    context, later, first = (torch.randn(1, 3, 16, H, W) for _ in range(3))
    one, other = torch.randn(2, TINY_DIMS.text_tokens, TINY_DIMS.text_dim)
    forward = TrainingForward(model, Rows(contexts=1, draws=1, firsts=1), H, W)
    rows = torch.cat([context, later, first])
    trained = forward(rows, torch.tensor([0.0, 908.8, 1000.0]), torch.stack([one, other, one]))

    engine = CausalTransformer(model)
    cache = KVCache(TINY_DIMS, 6 * TOKENS, "cpu", torch.float32)
    text = TextCache(TINY_DIMS, "cpu", torch.float32)
    rope = rope_table(TINY_DIMS.head_dim, 6, H // 2, W // 2)

    def run(x: torch.Tensor, t: float, said: torch.Tensor, at: int) -> torch.Tensor:
        engine.write_text(said, text)
        groups = block_group(at, 3, TOKENS) if at else causal_groups(3, 3, TOKENS)
        modulation = engine.modulation(torch.tensor([[t]]))
        window = Window(at * TOKENS, groups)
        return engine.forward(x, modulation, rope.at(at, 3), cache, text, window)[0]

    run(context, 0.0, one, 0)
    torch.testing.assert_close(trained[1], run(later, 908.8, other, 3), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(trained[2], run(first, 1000.0, one, 0), atol=1e-4, rtol=1e-4)


def test_paired_noise_is_the_same_noise_in_another_order() -> None:
    """Pairing moves the strongest patch to the thing's place, and makes nothing up."""
    torch.manual_seed(0)
    noise = torch.randn(3, 16, HEIGHT // 8, WIDTH // 8)
    spot = (START_ROW, START_COLUMNS[2])
    paired = pair(noise, spot)
    assert torch.equal(paired.flatten().sort().values, noise.flatten().sort().values)
    strength = torch.nn.functional.avg_pool2d(paired[:1, 0], 2)[0]
    places = [(START_ROW, column) for column in START_COLUMNS]
    assert max(places, key=lambda place: float(strength[place])) == spot
