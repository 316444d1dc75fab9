"""Attention kernels are chosen by what a card can do and by what they return, never by a name."""

import pytest
import torch
from torch import Tensor

from framewire.worker.engine.network.attention import Kernel, sdpa
from framewire.worker.engine.network.kernels import Candidate, candidates, choose, probe

CPU = torch.device("cpu")
HOPPER, AMPERE, VOLTA = (9, 0), (8, 0), (7, 0)


def noise(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What a wheel built for another card returns."""
    return torch.randn_like(q)


def nothing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.full_like(q, torch.nan)


def slightly_off(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return sdpa(q, k, v) * 1.005


def unable(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    raise RuntimeError("no kernel image is available for execution on the device")


def made(kernel: Kernel, name: str = "new", **limits: object) -> Candidate:
    return Candidate(name, lambda: kernel, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [noise, nothing, unable])
def test_a_kernel_that_imports_but_returns_noise_is_passed_over(broken: Kernel) -> None:
    known = (made(broken, "broken"), made(slightly_off, "good"))
    assert choose("auto", CPU, torch.float32, known, HOPPER) == ("good", slightly_off)
    assert choose("auto", CPU, torch.float32, known[:1], HOPPER) == ("sdpa", sdpa)


def test_a_kernel_asked_for_by_name_that_is_broken_is_an_error_that_says_by_how_much() -> None:
    with pytest.raises(ValueError, match=r"broken: its result is off by \d+"):
        choose("broken", CPU, torch.float32, (made(noise, "broken"),), HOPPER)
    with pytest.raises(ValueError, match="it fails: no kernel image"):
        choose("broken", CPU, torch.float32, (made(unable, "broken"),), HOPPER)


def test_a_kernel_is_tried_only_on_the_capabilities_that_it_is_for() -> None:
    known = (made(slightly_off, "hopper", least=HOPPER, most=HOPPER), made(sdpa, "plain"))
    assert choose("auto", CPU, torch.float32, known, HOPPER)[0] == "hopper"
    assert choose("auto", CPU, torch.float32, known, AMPERE)[0] == "plain"
    assert choose("auto", CPU, torch.float32, known, VOLTA)[0] == "sdpa"
    with pytest.raises(ValueError, match=r"isn't for compute capability 8\.0"):
        choose("hopper", CPU, torch.float32, known, AMPERE)


def test_what_is_not_installed_is_not_tried() -> None:
    known = (made(sdpa, "absent", module="no_such_wheel"),)
    assert choose("auto", CPU, torch.float32, known, HOPPER)[0] == "sdpa"
    with pytest.raises(ValueError, match="no_such_wheel isn't installed"):
        choose("absent", CPU, torch.float32, known, HOPPER)


def test_without_a_gpu_it_is_pytorchs_own_and_unknown_names_are_refused() -> None:
    assert choose("auto", CPU, torch.float32) == ("sdpa", sdpa)
    with pytest.raises(ValueError, match="no attention 'fast': choose one of auto, sdpa, cudnn"):
        choose("fast", CPU, torch.float32)


def test_hopper_and_blackwell_prefer_cudnn_and_quantised_kernels_are_never_automatic() -> None:
    known = candidates()
    assert known[0].name == "cudnn"
    assert all(known[0].least <= card <= known[0].most for card in ((9, 0), (10, 0), (12, 0)))
    assert not any(candidate.name == "sage" for candidate in known)


def test_the_probe_measures_the_relative_error() -> None:
    assert probe(sdpa, CPU, torch.float32) < 1e-5
    assert probe(sdpa, CPU, torch.bfloat16) < 1e-2
    assert probe(slightly_off, CPU, torch.float32) == pytest.approx(0.005, rel=0.01)
