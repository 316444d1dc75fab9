"""The forward pass that training uses is the engine's: what is learned is what runs."""

from typing import cast

import torch
from diffusers import WanTransformer3DModel
from train_tiny.batches import CELL_WEIGHT, Own, nearest
from train_tiny.forward import Rows, TrainingForward

from framewire.worker.engine.network.attention import block_group, causal_groups
from framewire.worker.engine.network.kv_cache import KVCache, TextCache
from framewire.worker.engine.network.rope import rope_table
from framewire.worker.engine.network.transformer import CausalTransformer, Window
from framewire.worker.engine.tiny.model import TINY_DIMS, build

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


def test_a_start_is_learned_at_the_place_that_its_noise_resembles() -> None:
    """Also where the model has made the input itself: the target follows from what it sees."""
    torch.manual_seed(0)
    x0 = torch.randn(4, 2, 3, 16, H, W)
    places = [0, 1, 1, 0]
    x = torch.randn(4, 3, 16, H, W) + 0.5 * x0[range(4), places]
    assert nearest(x, x0).tolist() == places
    cells = torch.zeros(4, 2, 3, 1, H, W, dtype=torch.bool)
    cells[range(4), places] = True
    flow, weight = Own(x, x0, cells, passes=1).target(x, 0.5)
    torch.testing.assert_close(x - 0.5 * flow, x0[range(4), places])
    assert (weight == CELL_WEIGHT).all()
