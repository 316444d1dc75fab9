"""One step of both optimizers moves every kind of parameter, and goes on from what was saved."""

from copy import deepcopy

import torch
from torch import nn
from train_tiny.optimizers import Optimizers


def _optimizers(model: nn.Module) -> Optimizers:
    parameters = list(model.parameters())
    return Optimizers(
        [p for p in parameters if p.ndim > 1],
        [p for p in parameters if p.ndim == 1],
        muon_rate=1e-2,
        adam_rate=1e-2,
        warm_up=1,
    )


def test_a_step_moves_kernels_matrices_and_biases_down_the_loss() -> None:
    """A convolution's kernels are flattened for Muon and must not be a copy."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5))
    before = [p.detach().clone() for p in model.parameters()]
    x, wanted = torch.randn(8, 3, 4, 4), torch.randn(8, 5)

    def loss() -> torch.Tensor:
        return (model(x) - wanted).square().mean()

    first = loss()
    _optimizers(model).step(first, 0, 10)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert loss() < first


def test_saved_state_goes_on_as_if_it_had_not_been_stopped() -> None:
    """Momentum included: two steps in a row are two steps with a stop between."""
    torch.manual_seed(0)
    model, x = nn.Linear(4, 4), torch.randn(8, 4)
    optimizers = _optimizers(model)
    optimizers.step(model(x).square().mean(), 0, 10)
    other = nn.Linear(4, 4)
    other.load_state_dict(model.state_dict())
    resumed = _optimizers(other)
    resumed.load_state_dict(deepcopy(optimizers.state_dict()))
    for one, learner in ((model, optimizers), (other, resumed)):
        learner.step(one(x).square().mean(), 1, 10)
    torch.testing.assert_close(model.weight, other.weight)
    torch.testing.assert_close(model.bias, other.bias)
