"""The streaming VAE: streams equal one-shot runs, sessions don't touch, sizes and bytes hold."""

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from framewire.worker.engine.vae.streaming import StreamingVae

CLOSE = 1e-5


def small_vae() -> AutoencoderKLWan:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        vae = AutoencoderKLWan(base_dim=8, num_res_blocks=1)
    return vae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def inner() -> AutoencoderKLWan:
    return small_vae()


@pytest.fixture(scope="module")
def vae(inner: AutoencoderKLWan) -> StreamingVae:
    return StreamingVae(inner)


def latents(count: int, height: int = 4, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 16, height, width, generator=generator)


def video(count: int, height: int = 32, width: int = 48, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def plain(inner: AutoencoderKLWan, name: str) -> Tensor:
    return torch.tensor(getattr(inner.config, name)).view(1, -1, 1, 1, 1)


def decode_at_once(inner: AutoencoderKLWan, z: Tensor) -> Tensor:
    raw = z.movedim(0, 1)[None] * plain(inner, "latents_std") + plain(inner, "latents_mean")
    return inner.decode(raw).sample[0].movedim(0, 1)


def encode_at_once(inner: AutoencoderKLWan, pixels: Tensor) -> Tensor:
    mean = inner.encode(pixels.movedim(0, 1)[None]).latent_dist.mean
    normal = (mean - plain(inner, "latents_mean")) / plain(inner, "latents_std")
    return normal[0].movedim(0, 1)


@pytest.mark.parametrize("blocks", [[3, 3, 3], [9], [1] * 9, [2, 5, 2]])
def test_decoding_in_any_pieces_gives_the_bits_of_diffusers_decoding_at_once(
    inner: AutoencoderKLWan, vae: StreamingVae, blocks: list[int]
) -> None:
    z, state = latents(9), vae.open_decoder()
    parts = [vae.decode(piece, state) for piece in z.split(blocks)]
    assert [len(part) for part in parts] == [4 * n - 3 * (i == 0) for i, n in enumerate(blocks)]
    expected = decode_at_once(inner, z)
    assert expected.std() > 0.01
    assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize("pieces", [[9, 12, 4], [25], [1] + [4] * 6, [1, 24]])
def test_encoding_in_any_pieces_gives_the_bits_of_diffusers_encoding_at_once(
    inner: AutoencoderKLWan, vae: StreamingVae, pieces: list[int]
) -> None:
    pixels, state = video(25), vae.open_encoder()
    parts = [vae.encode(piece, state) for piece in pixels.split(pieces)]
    assert sum(len(part) for part in parts) == 7
    expected = encode_at_once(inner, pixels)
    assert torch.equal(torch.cat(parts), expected)


def test_two_interleaved_streams_equal_their_solo_runs_bit_for_bit(vae: StreamingVae) -> None:
    def solo(seed: int) -> tuple[Tensor, Tensor]:
        out, back = vae.open_decoder(), vae.open_encoder()
        frames = torch.cat([vae.decode(z, out) for z in latents(6, seed=seed).split(3)])
        encoded = torch.cat([vae.encode(x, back) for x in video(21, seed=seed).split([9, 12])])
        return frames, encoded

    expected = [solo(1), solo(2)]
    states = [(vae.open_decoder(), vae.open_encoder()) for _ in range(2)]
    frames: list[list[Tensor]] = [[], []]
    encoded: list[list[Tensor]] = [[], []]
    for block in range(2):
        for stream, (out, back) in enumerate(states):
            pixels = video(21, seed=stream + 1).split([9, 12])[block]
            frames[stream].append(vae.decode(latents(6, seed=stream + 1).split(3)[block], out))
            encoded[stream].append(vae.encode(pixels, back))
    for stream in range(2):
        assert torch.equal(torch.cat(frames[stream]), expected[stream][0])
        assert torch.equal(torch.cat(encoded[stream]), expected[stream][1])


def test_a_still_is_encoded_as_the_first_frame_of_a_stream_and_disturbs_none(
    vae: StreamingVae,
) -> None:
    pixels = video(9)
    expected = vae.encode(pixels, vae.open_encoder())
    state = vae.open_encoder()
    first = vae.encode(pixels[:1], state)
    still = vae.encode_still(pixels[3])
    rest = vae.encode(pixels[1:], state)
    assert torch.equal(vae.encode_still(pixels[0]), first)
    assert still.shape == (1, 16, 4, 6)
    torch.testing.assert_close(torch.cat((first, rest)), expected, rtol=0, atol=CLOSE)


def test_unnormalised_latents_are_the_means_that_the_network_gives(
    inner: AutoencoderKLWan, vae: StreamingVae
) -> None:
    pixels = video(1)
    raw = vae.encode(pixels, vae.open_encoder(), normalise=False)
    expected = inner.encode(pixels.movedim(0, 1)[None]).latent_dist.mean[0].movedim(0, 1)
    torch.testing.assert_close(raw, expected, rtol=0, atol=CLOSE)


def test_frames_stay_within_range(vae: StreamingVae) -> None:
    frames = vae.decode(latents(1) * 200, vae.open_decoder())
    assert frames.min() >= -1 and frames.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 32), (16, 112)])
def test_state_bytes_are_what_admission_was_told_and_stay_so(
    vae: StreamingVae, height: int, width: int
) -> None:
    out, back = vae.open_decoder(), vae.open_encoder()
    for block in range(4):
        vae.decode(latents(3, height // 8, width // 8), out)
        vae.encode(video(9 if block == 0 else 12, height, width), back)
        assert out.nbytes == vae.decoder_state_bytes(height, width)
        assert back.nbytes == vae.encoder_state_bytes(height, width)


def test_state_bytes_of_the_published_vae_at_its_usual_size() -> None:
    with torch.device("meta"):
        published = StreamingVae(AutoencoderKLWan().to(torch.bfloat16))
    assert published.decoder_state_bytes(480, 832) == pytest.approx(1.89e9, rel=0.005)


def test_half_precision_takes_and_gives_float32() -> None:
    vae = StreamingVae(small_vae().to(torch.bfloat16))
    assert vae.dtype == torch.bfloat16 and vae.device.type == "cpu" and vae.latent_channels == 16
    frames = vae.decode(latents(2), vae.open_decoder())
    assert frames.dtype == vae.encode_still(frames[0]).dtype == torch.float32
    exact = StreamingVae(small_vae())
    full = exact.decode(latents(2), exact.open_decoder())
    assert (frames - full).abs().mean() < 0.02


@pytest.mark.parametrize("count", [2, 4, 12])
def test_a_first_encode_of_other_than_1_plus_4k_frames_is_refused(
    vae: StreamingVae, count: int
) -> None:
    with pytest.raises(ValueError, match=rf"1 \+ 4k frames at its start, got {count}"):
        vae.encode(video(count), vae.open_encoder())


@pytest.mark.parametrize("count", [1, 9, 13])
def test_a_later_encode_of_other_than_4k_frames_is_refused_and_the_stream_goes_on(
    vae: StreamingVae, count: int
) -> None:
    state = vae.open_encoder()
    vae.encode(video(1), state)
    with pytest.raises(ValueError, match=f"multiple of 4 frames from now on, got {count}"):
        vae.encode(video(count), state)
    assert len(vae.encode(video(4), state)) == 1


def test_a_stream_keeps_its_size(vae: StreamingVae) -> None:
    out, back = vae.open_decoder(), vae.open_encoder()
    vae.decode(latents(1, 4, 6), out)
    vae.encode(video(1, 32, 48), back)
    with pytest.raises(ValueError, match=r"stream is 32x48 .* got 48x32"):
        vae.decode(latents(1, 6, 4), out)
    with pytest.raises(ValueError, match=r"stream is 32x48 .* got 48x32"):
        vae.encode(video(4, 48, 32), back)


def test_inputs_of_a_wrong_form_are_refused(vae: StreamingVae) -> None:
    with pytest.raises(ValueError, match="with 16 channels"):
        vae.decode(torch.zeros(1, 4, 4, 4), vae.open_decoder())
    with pytest.raises(ValueError, match="with 3 channels"):
        vae.encode(torch.zeros(1, 4, 16, 16), vae.open_encoder())
    with pytest.raises(ValueError, match="multiples of 8, got 20x16"):
        vae.encode(torch.zeros(1, 3, 20, 16), vae.open_encoder())
    with pytest.raises(ValueError, match=r"got \[0, 16"):
        vae.decode(latents(0), vae.open_decoder())


def test_a_wan22_vae_is_refused() -> None:
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match=r"only the Wan2\.1 VAE"),
    ):
        StreamingVae(AutoencoderKLWan(base_dim=8, is_residual=True))
