"""The small autoencoder streams as the large one does: state by stream, block by block."""

import pytest
import torch

from framewire.worker.engine.tiny.vae import TinyVae, TinyVaeDims


@pytest.fixture
def vae() -> TinyVae:
    torch.manual_seed(0)
    return TinyVae(TinyVaeDims(widths=(16, 16))).eval().requires_grad_(False)


def test_decoding_in_parts_equals_decoding_at_once(vae: TinyVae) -> None:
    """Blocks can be cut anywhere: nothing is lost between calls."""
    z = torch.randn(6, 16, 4, 6)
    whole = vae.decode(z, vae.open_decoder())
    state = vae.open_decoder()
    parts = torch.cat([vae.decode(part, state) for part in (z[:3], z[3:4], z[4:])])
    assert whole.shape == (21, 3, 32, 48)
    torch.testing.assert_close(parts, whole)


def test_the_first_block_has_nine_frames_and_later_ones_twelve(vae: TinyVae) -> None:
    """The counts that Krea's loop is built on."""
    state = vae.open_decoder()
    counts = [len(vae.decode(torch.zeros(3, 16, 2, 2), state)) for _ in range(3)]
    assert counts == [9, 12, 12]


def test_encoding_in_parts_equals_encoding_at_once(vae: TinyVae) -> None:
    """Live input arrives block by block and means the same."""
    pixels = torch.rand(21, 3, 32, 48) * 2 - 1
    whole = vae.encode(pixels, vae.open_encoder())
    state = vae.open_encoder()
    parts = torch.cat([vae.encode(part, state) for part in (pixels[:9], pixels[9:])])
    assert whole.shape == (6, 16, 4, 6)
    torch.testing.assert_close(parts, whole)


def test_a_still_is_the_first_latent_of_a_stream_that_starts_with_it(vae: TinyVae) -> None:
    """What the context is trained with is what the engine's re-encoded picture gives."""
    pixels = torch.rand(9, 3, 32, 48) * 2 - 1
    stream = vae.encode(pixels, vae.open_encoder())
    torch.testing.assert_close(vae.encode_still(pixels[0]), stream[:1])


def test_streams_do_not_see_each_other(vae: TinyVae) -> None:
    """Two sessions on one set of weights get what each would get alone."""
    one, other = torch.randn(4, 16, 2, 2), torch.randn(4, 16, 2, 2)
    alone = vae.decode(one, vae.open_decoder())
    state, busy = vae.open_decoder(), vae.open_decoder()
    first = vae.decode(one[:2], state)
    vae.decode(other, busy)
    torch.testing.assert_close(torch.cat([first, vae.decode(one[2:], state)]), alone)


def test_clips_of_a_batch_are_each_what_they_are_alone_in_either_layout(vae: TinyVae) -> None:
    """Training decodes batches with weights as they come; serving one stream, channels last."""
    z, frames = torch.randn(2, 3, 16, 4, 6), torch.rand(2, 8, 3, 32, 48) * 2 - 1
    decoded, encoded = vae.decode_clips(z), vae.encode_clips(frames)
    vae.to(memory_format=torch.channels_last)
    for clip in range(2):
        torch.testing.assert_close(vae.decode_clips(z[clip : clip + 1])[0], decoded[clip])
        torch.testing.assert_close(vae.encode_clips(frames[clip : clip + 1])[0], encoded[clip])


def test_the_state_holds_as_many_bytes_as_foretold(vae: TinyVae) -> None:
    """Admission counts on the number."""
    state = vae.open_decoder()
    vae.decode(torch.zeros(3, 16, 4, 6), state)
    assert state.nbytes == vae.decoder_state_bytes(32, 48)


def test_wrong_input_is_refused_with_what_would_be_right(vae: TinyVae) -> None:
    """Wrong counts, sizes and channels never reach a layer."""
    with pytest.raises(ValueError, match="1 \\+ 4k"):
        vae.encode(torch.zeros(4, 3, 32, 32), vae.open_encoder())
    with pytest.raises(ValueError, match="16 channels"):
        vae.decode(torch.zeros(1, 4, 2, 2), vae.open_decoder())
    with pytest.raises(ValueError, match="multiples of 8"):
        vae.encode(torch.zeros(1, 3, 30, 32), vae.open_encoder())
    state = vae.open_decoder()
    vae.decode(torch.zeros(1, 16, 2, 2), state)
    with pytest.raises(ValueError, match="16x16"):
        vae.decode(torch.zeros(1, 16, 3, 2), state)
