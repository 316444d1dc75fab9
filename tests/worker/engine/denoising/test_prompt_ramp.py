"""The ramp from one prompt to the next."""

import pytest
import torch

from framewire.worker.engine.denoising.prompt_ramp import PromptRamp

A, B, C = (torch.full((4, 2), value) for value in (0.0, 1.0, 5.0))


def parts(ramp: PromptRamp, blocks: int) -> list[float]:
    return [float(ramp.advance()[0, 0]) for _ in range(blocks)]


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_ramp_of_n_steps_takes_k_nths_and_then_stays(steps: int) -> None:
    """Block k has k / n of the new prompt; one step is an immediate change."""
    ramp = PromptRamp(A)
    ramp.turn_to(B, steps)
    assert parts(ramp, steps + 1) == pytest.approx([*(k / steps for k in range(1, steps + 1)), 1])
    assert ramp.current is B


def test_a_newer_target_starts_from_where_the_ramp_was() -> None:
    """The newest prompt wins, without a jump."""
    ramp = PromptRamp(A)
    ramp.turn_to(B, 2)
    assert parts(ramp, 1) == [0.5]
    ramp.turn_to(C, 3)
    assert parts(ramp, 3) == pytest.approx([2.0, 3.5, 5.0])


def test_without_a_ramp_the_same_tensor_is_handed_out() -> None:
    """Identity tells the text cache that nothing changed."""
    ramp = PromptRamp(A)
    assert ramp.advance() is A
    ramp.turn_to(B, 5)
    ramp.finish()
    assert ramp.advance() is B


def test_a_ramp_of_no_steps_is_refused() -> None:
    """The error names the parameter."""
    with pytest.raises(ValueError, match="interp_steps"):
        PromptRamp(A).turn_to(B, 0)
