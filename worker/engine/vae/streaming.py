"""The Wan2.1 VAE as a stream: latents in, frames out, block by block, and the way back.

Layers and weights are diffusers' `AutoencoderKLWan`; its own `encode` and `decode` forget their
feature caches between calls, so its encoder and decoder are called here with lists of ours, one
object a stream and direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from framewire.worker.engine.preset import FRAMES_PER_LATENT, LATENT_STRIDE

from .layout import keep_faster_layout
from .steps import Step

_SETTLED = 2
"""Steps of a stream after which all that is remembered has its shape: two frames of a level."""

_Slot = Tensor | str | None


@dataclass
class _StreamState:
    """What the causal convolutions remember of one stream; empty before its first frame."""

    slots: list[_Slot]
    size: tuple[int, int] | None = None
    steps: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(slot.nbytes for slot in self.slots if isinstance(slot, Tensor))

    def enter(self, height: int, width: int) -> None:
        """Fix the stream's size at its first frame.

        Raises:
            ValueError: the stream has begun with another size.
        """
        if self.size is not None and self.size != (height, width):
            raise ValueError(
                f"this stream is {self.size[0]}x{self.size[1]} (height x width), "
                f"but got {height}x{width}: open a new state for another size"
            )
        self.size = (height, width)


class DecoderState(_StreamState):
    """One session's decoder caches. Made by `StreamingVae.open_decoder`, mutated by `decode`."""


class EncoderState(_StreamState):
    """One session's encoder caches. Made by `StreamingVae.open_encoder`, mutated by `encode`."""


class StreamingVae:
    """Encode and decode streams with one set of weights; every stream carries its own state.

    Calls with different states can be interleaved in any order: nothing is kept here. The networks
    see one latent frame at a time, as in diffusers: that bounds memory, and gives the same bits
    however a stream is cut into calls.

    Attributes:
        by_latent: a stream may be decoded latent by latent, at no cost and without a change.
    """

    by_latent = True

    def __init__(self, vae: AutoencoderKLWan) -> None:
        """Take a VAE that is already on its device and in its dtype.

        Raises:
            ValueError: the VAE is of the Wan2.2 kind (residual or patched), which has other rules.
        """
        self._vae = cast(Any, vae)  # diffusers' own types are partial
        config = self._vae.config
        if config.is_residual or config.patch_size is not None:
            raise ValueError("only the Wan2.1 VAE can be streamed, this is a Wan2.2 one")
        self._decode, self._encode = _step(self._vae.decoder), _step(self._vae.encoder, first=True)
        self._mean = _per_channel(config.latents_mean, self.device)
        self._std = _per_channel(config.latents_std, self.device)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent frame (16)."""
        return int(self._vae.config.z_dim)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the network computes in; latents and pixels of any float dtype go in."""
        dtype: torch.dtype = self._vae.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """Where the weights, and so all states and results, are."""
        device: torch.device = self._vae.device
        return device

    def compile_steps(self, **options: Any) -> None:
        """Compile both networks' steps, but for the first two of a stream; stills are its first."""
        self._decode.compile(**options)
        self._encode.compile(**options)

    def stop_compiling(self) -> None:
        """Compile no further shape, so that no stream of another size stalls the others."""
        self._decode.stop_compiling()
        self._encode.stop_compiling()

    def tune(self, height: int, width: int) -> dict[str, float]:
        """Keep the faster layout of each network's convolutions, measured at a size in pixels.

        Returns:
            By how much each is faster for it; 1 where the plain layout was kept.
        """
        sides = (height // LATENT_STRIDE, width // LATENT_STRIDE)
        latents = torch.zeros(1, self.latent_channels, *sides, device=self.device)
        frames = torch.zeros(FRAMES_PER_LATENT, 3, height, width, device=self.device)
        decoder, encoder = self.open_decoder(), self.open_encoder()
        self.encode(frames[:1], encoder)
        for _ in range(2):
            self.decode(latents, decoder)
            self.encode(frames, encoder)
        return {
            "decoder": keep_faster_layout(
                self._vae.decoder, lambda: self.decode(latents, decoder), self.device
            ),
            "encoder": keep_faster_layout(
                self._vae.encoder, lambda: self.encode(frames, encoder), self.device
            ),
        }

    def open_decoder(self) -> DecoderState:
        """Begin a stream of latents."""
        return DecoderState([None] * len(_causal_convs(self._vae.decoder)))

    def open_encoder(self) -> EncoderState:
        """Begin a stream of frames."""
        return EncoderState([None] * len(_causal_convs(self._vae.encoder)))

    @torch.no_grad()
    def decode(self, z: Tensor, state: DecoderState) -> Tensor:
        """Decode the next latents of a stream.

        Args:
            z: normalised latents, [F, 16, h, w], F >= 1.
            state: the stream's; mutated. After an error it is of no more use.

        Returns:
            Frames in [-1, 1], float32, [T, 3, 8h, 8w]. T is 4F, and 4F - 3 at the start of a
            stream: 9 then 12 for blocks of three. Equal to decoding the whole stream at once.

        Raises:
            ValueError: wrong number of axes or channels, or a size other than the stream's.
        """
        _expect(z, self.latent_channels, "latents [F, C, h, w]")
        state.enter(z.shape[2] * LATENT_STRIDE, z.shape[3] * LATENT_STRIDE)
        z = z.to(self.device, torch.float32).movedim(0, 1)[None]  # [1, C, F, h, w]
        z = self._vae.post_quant_conv((z * self._std + self._mean).to(self.dtype))
        frames = _in_steps(self._decode, z, state, 1)
        return frames[0].movedim(0, 1).float().clamp(-1.0, 1.0)  # [T, 3, H, W]

    @torch.no_grad()
    def encode(self, pixels: Tensor, state: EncoderState, normalise: bool = True) -> Tensor:
        """Encode the next frames of a stream to the mean of their latents.

        Args:
            pixels: frames in [-1, 1], [T, 3, H, W], sides multiples of 8. T is 1 + 4k at the
                start of a stream and a multiple of 4 after it.
            state: the stream's; mutated. After an error it is of no more use.
            normalise: whether the latents are brought to mean 0 and deviation 1, as `decode`
                and the transformer take them.

        Returns:
            Latents, float32, [F, 16, h, w]: 1 + k at the start of a stream, then T / 4.

        Raises:
            ValueError: wrong axes, channels or number of frames, sides that are no multiples of
                8, or a size other than the stream's.
        """
        _expect(pixels, 3, "pixels [T, 3, H, W]")
        count, _, height, width = pixels.shape
        if height % LATENT_STRIDE or width % LATENT_STRIDE:
            raise ValueError(f"sides must be multiples of {LATENT_STRIDE}, got {height}x{width}")
        first = state.size is None
        if count % FRAMES_PER_LATENT != int(first):
            rule = "1 + 4k frames at its start" if first else "a multiple of 4 frames from now on"
            raise ValueError(f"an encoder stream takes {rule}, got {count}")
        state.enter(height, width)
        x = pixels.to(self.device, self.dtype).movedim(0, 1)[None]  # [1, 3, T, H, W]
        steps = _in_steps(self._encode, x, state, FRAMES_PER_LATENT)
        moments = self._vae.quant_conv(steps)
        mean: Tensor = moments[:, : self.latent_channels].float()
        if normalise:
            mean = (mean - self._mean) / self._std
        return mean[0].movedim(0, 1).contiguous()  # [F, C, h, w]

    def encode_still(self, pixels: Tensor) -> Tensor:
        """Encode one picture [3, H, W] in [-1, 1] by itself: [1, 16, h, w], normalised."""
        return self.encode(pixels[None], self.open_encoder())

    def decoder_state_bytes(self, height: int, width: int) -> int:
        """Bytes that one session's decoder state holds at a size in pixels, once it has filled."""
        decoder = self._vae.decoder
        area = math.ceil(height / LATENT_STRIDE) * math.ceil(width / LATENT_STRIDE)
        values = _remembered(decoder.conv_in, area) + _remembered(decoder.mid_block, area)
        for block in decoder.up_blocks:
            values += _remembered(block, area)
            area *= 4 if block.upsamplers is not None else 1
        return (values + _remembered(decoder.conv_out, area)) * self.dtype.itemsize

    def encoder_state_bytes(self, height: int, width: int) -> int:
        """Bytes that one session's encoder state holds at a size in pixels, once it has filled."""
        encoder = self._vae.encoder
        area = height * width
        values = _remembered(encoder.conv_in, area)
        for layer in encoder.down_blocks:
            if hasattr(layer, "resample"):
                area //= 4
                # A temporal downsampling sees one frame of the past, the others two.
                values += _remembered(layer, area) // 2
            else:
                values += _remembered(layer, area)
        values += _remembered(encoder.mid_block, area) + _remembered(encoder.conv_out, area)
        return values * self.dtype.itemsize


def _step(network: Callable[..., Tensor], *, first: bool = False) -> Step:
    def run(x: Tensor, slots: list[_Slot]) -> Tensor:
        return network(x, feat_cache=slots, feat_idx=[0])

    return Step(run, settled=_SETTLED, first=first)


def _in_steps(step: Step, x: Tensor, state: _StreamState, length: int) -> Tensor:
    """Run over the time axis of x [1, C, T, H, W], `length` at a time; a stream's first alone."""
    starts = range(0, x.shape[2], length) if state.steps else [0, *range(1, x.shape[2], length)]
    parts = []
    for piece in x.tensor_split(list(starts)[1:], 2):
        parts.append(step(piece.contiguous(), state.slots, state.steps))
        state.steps += 1
    return torch.cat(parts, 2) if len(parts) > 1 else parts[0]


def _expect(x: Tensor, channels: int, form: str) -> None:
    if x.ndim != 4 or x.shape[0] < 1 or x.shape[1] != channels:
        raise ValueError(f"expected {form} with {channels} channels, got {list(x.shape)}")


def _causal_convs(part: nn.Module) -> list[nn.Conv3d]:
    return [module for module in part.modules() if isinstance(module, nn.Conv3d)]


def _per_channel(values: list[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1, 1)


def _remembered(part: nn.Module, area: int) -> int:
    """Values that the causal convolutions of `part` keep: two input frames of `area` cells."""
    convs = [conv for conv in _causal_convs(part) if conv.kernel_size[0] > 1]
    return sum(2 * conv.in_channels * area for conv in convs)
