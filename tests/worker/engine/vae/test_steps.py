"""Compiled steps of encoder and decoder: few graphs, the same numbers, no stall for new sizes."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch._dynamo.utils import counters

from framewire.worker.engine.vae.streaming import StreamingVae
from framewire.worker.engine.vae.taehv import TaehvDecoder

pytestmark = pytest.mark.usefixtures("fresh_compiler")


def seeded(make: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return make().eval().requires_grad_(False)


def small_vae() -> StreamingVae:
    return StreamingVae(seeded(lambda: AutoencoderKLWan(base_dim=4, num_res_blocks=1)))


def small_taehv() -> TaehvDecoder:
    decoder: TaehvDecoder = seeded(TaehvDecoder)
    return decoder


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def decoded(decoder: StreamingVae | TaehvDecoder, side: int = 4) -> Tensor:
    state: Any = decoder.open_decoder()
    latents = drawn(9, 16, side, side)
    return torch.cat([decoder.decode(piece, state) for piece in latents.split([3, 1, 2, 3])])


def encoded(vae: StreamingVae) -> Tensor:
    state, frames = vae.open_encoder(), drawn(25, 3, 32, 32)
    return torch.cat([vae.encode(piece, state) for piece in frames.split([9, 4, 12])])


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_decoder_is_one_graph_without_breaks_and_equals_the_plain_one(
    backend: str,
) -> None:
    """Inductor's may be two: it lays out what is remembered otherwise than plain steps do."""
    plain, vae = small_vae(), small_vae()
    vae.compile_steps(backend=backend)
    assert (decoded(vae) - decoded(plain)).abs().max() < 1e-5
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] <= (1 if backend == "aot_eager" else 2)


def test_a_compiled_encoder_has_a_graph_for_stills_and_one_for_streams() -> None:
    plain, vae = small_vae(), small_vae()
    vae.compile_steps(backend="aot_eager")
    assert (encoded(vae) - encoded(plain)).abs().max() < 1e-5
    assert torch.equal(vae.encode_still(drawn(3, 32, 32)), vae.encode_still(drawn(3, 32, 32)))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2


def test_a_compiled_taehv_is_one_graph_without_breaks_and_equals_the_plain_one() -> None:
    plain, taehv = small_taehv(), small_taehv()
    taehv.compile_steps(backend="aot_eager")
    assert (decoded(taehv) - decoded(plain)).abs().max() < 1e-5
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("make", [small_vae, small_taehv])
def test_streams_through_one_compiled_decoder_do_not_touch(make: Any) -> None:
    decoder = make()
    decoder.compile_steps(backend="aot_eager")
    alone = [decoded(decoder), decoded(decoder)]
    states = [decoder.open_decoder(), decoder.open_decoder()]
    turns: list[list[Tensor]] = [[], []]
    for piece in drawn(9, 16, 4, 4).split(1):
        for which, state in enumerate(states):
            turns[which].append(decoder.decode(piece, state))
    assert torch.equal(torch.cat(turns[0]), alone[0])
    assert torch.equal(torch.cat(turns[1]), alone[1])


def test_after_warming_up_another_size_runs_uncompiled() -> None:
    vae = small_vae()
    vae.compile_steps(backend="aot_eager")
    decoded(vae)
    vae.stop_compiling()
    other = decoded(vae, side=6)
    assert counters["stats"]["unique_graphs"] == 1
    assert torch.equal(other, decoded(small_vae(), side=6))
