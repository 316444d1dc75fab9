"""Recorded encoding and decoding are the plain ones bit for bit, recorded once for all streams."""

from operator import attrgetter

import pytest
import torch
from support.engines.tape import Tape
from support.engines.tiny_engine import tiny_vae
from torch import Tensor

from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.recorded_vae import RecordedDecoder, RecordedEncoder
from framewire.worker.engine.vae.taehv import TaehvDecoder

SLOTS = attrgetter("slots")


def latents(seed: int, frames: int = 3, height: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 16, height, 4, generator=generator)


@pytest.mark.parametrize("kind", ["wan", "taehv"])
def test_streams_side_by_side_decode_to_the_same_frames_from_one_record_each(kind: str) -> None:
    """Two at once, then two more, which take over what the first have left."""
    torch.manual_seed(0)
    plain = tiny_vae() if kind == "wan" else TaehvDecoder().requires_grad_(False)
    tape = Tape()
    name = "slots" if kind == "wan" else "memories"
    recorded = RecordedDecoder(plain, attrgetter(name), BlockGraphs(tape))
    counts = []
    for _ in range(2):
        states = [(plain.open_decoder(), recorded.open_decoder()) for _ in range(2)]
        for block in range(7):
            for offset, (bare, kept) in enumerate(states):
                z = latents(10 * block + offset)
                assert torch.equal(recorded.decode(z, kept), plain.decode(z, bare))
        counts.append((tape.recorded, tape.replayed))
        del states, bare, kept
    assert counts[0][0] == counts[1][0] == 2
    assert counts[1][1] > 2 * counts[0][1] - 4


def test_a_part_of_a_block_is_recorded_apart_and_the_order_stays() -> None:
    plain, tape = tiny_vae(), Tape()
    recorded = RecordedDecoder(plain, SLOTS, BlockGraphs(tape))
    bare, kept = plain.open_decoder(), recorded.open_decoder()
    for block in range(8):
        z = latents(block)
        for part in (z[:1], z[1:]):
            assert torch.equal(recorded.decode(part, kept), plain.decode(part, bare))
    assert tape.recorded == 2


@pytest.mark.parametrize("normalise", [True, False])
def test_input_and_stills_are_encoded_to_the_same_latents(normalise: bool) -> None:
    plain, tape = tiny_vae(), Tape()
    recorded = RecordedEncoder(plain, SLOTS, BlockGraphs(tape))
    bare, kept = plain.open_encoder(), recorded.open_encoder()
    for block in range(6):
        generator = torch.Generator().manual_seed(block)
        pixels = torch.rand(4 + (block == 0), 3, 16, 32, generator=generator) * 2 - 1
        wanted = plain.encode(pixels, bare, normalise)
        assert torch.equal(recorded.encode(pixels, kept, normalise), wanted)
        assert torch.equal(recorded.encode_still(pixels[0]), plain.encode_still(pixels[0]))
    assert tape.recorded == 2 and tape.replayed > 4


def test_another_size_in_mid_stream_is_refused_as_ever() -> None:
    recorded = RecordedDecoder(tiny_vae(), SLOTS, BlockGraphs(Tape()))
    state = recorded.open_decoder()
    for block in range(4):
        recorded.decode(latents(block), state)
    with pytest.raises(ValueError, match="open a new state for another size"):
        recorded.decode(latents(5, height=4), state)
