"""The streaming VAE against the reference's encodings and diffusers' decoding."""

import pytest
import torch
from support.engines.golden_data import FROM_PIXELS, difference, manifest, tensors
from torch import Tensor

from framewire.worker.engine.vae.streaming import StreamingVae
from framewire.worker.engine.vae.weights import load_vae

STILL = 5
"""The frame of `pixels` that was encoded by itself."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return tensors("krea", "vae.safetensors")


@pytest.fixture(scope="module")
def vae(golden: dict[str, Tensor]) -> StreamingVae:
    weights = {
        name.removeprefix("w."): value for name, value in golden.items() if name.startswith("w.")
    }
    return StreamingVae(load_vae(weights, {"base_dim": manifest()["vae_dim"]}))


@pytest.mark.parametrize("pieces", [[33], [9, 12, 12], [1] + [4] * 8])
def test_encoding_a_clip_in_pieces_gives_the_references_latents(
    golden: dict[str, Tensor], vae: StreamingVae, pieces: list[int]
) -> None:
    state = vae.open_encoder()
    frames = golden["pixels"][0].movedim(0, 1)  # [T, 3, H, W]
    latents = torch.cat([vae.encode(piece, state) for piece in frames.split(pieces)])
    assert difference(latents, golden["enc.full"][0].movedim(0, 1)) < FROM_PIXELS


def test_encoding_a_still_gives_the_references_latent(
    golden: dict[str, Tensor], vae: StreamingVae
) -> None:
    still = golden["pixels"][0, :, STILL]
    assert difference(vae.encode_still(still), golden["enc.single"][0].movedim(0, 1)) < FROM_PIXELS


@pytest.mark.parametrize("blocks", [[9], [3, 3, 3], [1] * 9])
def test_decoding_block_by_block_gives_the_frames_of_one_decoding(
    golden: dict[str, Tensor], vae: StreamingVae, blocks: list[int]
) -> None:
    state = vae.open_decoder()
    frames = torch.cat([vae.decode(z, state) for z in golden["z"][0].split(blocks)])
    assert difference(frames, golden["dec.diffusers"][0]) < FROM_PIXELS
