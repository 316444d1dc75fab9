"""A small autoencoder with the calls of `StreamingVae`: 4x in time, 8x in space, in milliseconds.

The shape is TAEHV's (2-D convolutions over a frame and the one before it, see taehv.py); the
weights are trained by `examples/train_tiny`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from framewire.worker.engine.preset import FRAMES_PER_LATENT, LATENT_STRIDE

_PATCH = 4
"""Pixels a side that the finest layer sees as one."""
_TRIMMED = FRAMES_PER_LATENT - 1
"""Frames that the first latent yields before the one it stands for."""


@dataclass(frozen=True)
class TinyVaeDims:
    """Widths at 1/4 and 1/8 of the pixels' resolution, and the latents' channels."""

    widths: tuple[int, int] = (64, 96)
    channels: int = 16


@dataclass
class TinyVaeState:
    """One stream's memory: the last input frame of each memory block, [1, 1, C, h, w]."""

    memories: list[Tensor | None]
    size: tuple[int, int] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(memory.nbytes for memory in self.memories if memory is not None)

    def enter(self, height: int, width: int) -> bool:
        """Fix the stream's size at its first frame; whether this was the first.

        Raises:
            ValueError: the stream has begun with another size.
        """
        first, self.size = self.size is None, self.size or (height, width)
        if self.size != (height, width):
            raise ValueError(
                f"this stream is {self.size[0]}x{self.size[1]} (height x width), "
                f"but got {height}x{width}: open a new state for another size"
            )
        return first


class _Frames(nn.Module):
    """A layer of single frames, applied to [B, T, C, h, w]."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(0, 1))
        return y.reshape(*x.shape[:2], *y.shape[1:])


class _Memory(nn.Module):
    """Two convolutions over a frame and the one before it, added to the frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """x, before: [B, T, C, h, w], `before` being x one frame earlier."""
        frames, earlier = x.flatten(0, 1), before.flatten(0, 1)
        h = self.out(functional.silu(self.mix(torch.cat((frames, earlier), 1))))
        return functional.silu(frames + h).reshape(x.shape)


class _Shrink(nn.Module):
    """Two frames into one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2T, C, h, w] to [B, T, C, h, w]."""
        batch, frames, width, *size = x.shape
        pairs = x.reshape(batch, -1, 2, width, *size).permute(
            0, 1, 4, 5, 2, 3
        )  # channels last, as memory has them
        y: Tensor = self.mix(pairs.reshape(-1, *size, 2 * width).permute(0, 3, 1, 2))
        return y.reshape(batch, frames // 2, width, *size)


class _Grow(nn.Module):
    """One frame into two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C, h, w] to [B, 2T, C, h, w]."""
        y: Tensor = self.mix(x.flatten(0, 1))
        pairs = y.reshape(y.shape[0], 2, -1, *y.shape[2:])
        pairs = pairs.permute(0, 1, 3, 4, 2)  # channels last, as memory has them
        flat = pairs.reshape(-1, *pairs.shape[2:]).permute(0, 3, 1, 2)
        return flat.reshape(x.shape[0], -1, *flat.shape[1:])


class _Stream(nn.Module):
    """Layers in a row, of which the memory blocks see the frame before, across calls."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def open(self) -> list[Tensor | None]:
        return [None] * sum(isinstance(layer, _Memory) for layer in self.layers)

    def forward(self, x: Tensor, memories: list[Tensor | None]) -> Tensor:
        index = 0
        for layer in self.layers:
            if not isinstance(layer, _Memory):
                x = layer(x)
                continue
            memory = memories[index]
            before = torch.empty_like(x)  # of the same layout, which joining frames would not keep
            before[:, :1] = 0 if memory is None else memory
            before[:, 1:] = x[:, :-1]
            # A copy, since a view would keep the whole block alive until the next one.
            memories[index] = x[:, -1:].clone()
            x = layer(x, before)
            index += 1
        return x


class TinyVae(nn.Module):
    """Encoder and decoder of small synthetic videos; every stream carries its own state."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, dims: TinyVaeDims | None = None) -> None:
        """Random weights, and latents taken as they come (mean 0, deviation 1)."""
        super().__init__()
        self.dims = dims or TinyVaeDims()
        quarter, eighth = self.dims.widths
        patch = 3 * _PATCH**2
        self.encoder = _Stream(
            _Frames(nn.PixelUnshuffle(_PATCH), _conv(patch, quarter), nn.SiLU()),
            _Shrink(quarter),
            _Memory(quarter),
            _Frames(_conv(quarter, eighth, stride=2)),
            _Shrink(eighth),
            _Memory(eighth),
            _Frames(_conv(eighth, self.dims.channels)),
        )
        self.decoder = _Stream(
            _Frames(_conv(self.dims.channels, eighth), nn.SiLU()),
            _Memory(eighth),
            _Memory(eighth),
            _Grow(eighth),
            _Frames(nn.Upsample(scale_factor=2), _conv(eighth, quarter)),
            _Memory(quarter),
            _Grow(quarter),
            _Memory(quarter),
            _Frames(_conv(quarter, patch), nn.PixelShuffle(_PATCH)),
        )
        shape = (self.dims.channels, 1, 1)
        self.register_buffer("latent_mean", torch.zeros(shape))
        self.register_buffer("latent_std", torch.ones(shape))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent frame."""
        return self.dims.channels

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the network computes in; latents and pixels of any float dtype go in."""
        return self.latent_mean.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights, and so all states and results, are."""
        return self.latent_mean.device

    def open_decoder(self) -> TinyVaeState:
        """Begin a stream of latents."""
        return TinyVaeState(self.decoder.open())

    def open_encoder(self) -> TinyVaeState:
        """Begin a stream of frames."""
        return TinyVaeState(self.encoder.open())

    @torch.no_grad()
    def decode(self, z: Tensor, state: TinyVaeState) -> Tensor:
        """Decode the next latents of a stream.

        Args:
            z: normalised latents, [F, C, h, w], F >= 1.
            state: the stream's; mutated. After an error it is of no more use.

        Returns:
            Frames in [-1, 1], float32, [T, 3, 8h, 8w]. T is 4F, and 4F - 3 at the start of a
            stream: 9 then 12 for blocks of three. Equal to decoding the whole stream at once.

        Raises:
            ValueError: wrong number of axes or channels, or a size other than the stream's.
        """
        _expect(z, self.latent_channels, "latents [F, C, h, w]")
        first = state.enter(z.shape[2] * LATENT_STRIDE, z.shape[3] * LATENT_STRIDE)
        frames = self.decode_clips(z[None].to(self.device, self.dtype), state.memories)[0]
        return (frames[_TRIMMED:] if first else frames).float().clamp(-1.0, 1.0)

    @torch.no_grad()
    def encode(self, pixels: Tensor, state: TinyVaeState, normalise: bool = True) -> Tensor:
        """Encode the next frames of a stream.

        Args:
            pixels: frames in [-1, 1], [T, 3, H, W], sides multiples of 8. T is 1 + 4k at the
                start of a stream and a multiple of 4 after it.
            state: the stream's; mutated. After an error it is of no more use.
            normalise: whether the latents are brought to mean 0 and deviation 1, as `decode`
                and the transformer take them.

        Returns:
            Latents, float32, [F, C, h, w]: 1 + k at the start of a stream, then T / 4.

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
        frames = pixels.to(self.device, self.dtype)
        if first:  # the first frame stands for four of its own
            frames = torch.cat((frames[:1].expand(_TRIMMED, -1, -1, -1), frames))
        z = self.encode_clips(frames[None], state.memories)[0].float()
        return z if normalise else z * self.latent_std.float() + self.latent_mean.float()

    def encode_still(self, pixels: Tensor) -> Tensor:
        """Encode one picture [3, H, W] in [-1, 1] by itself: [1, C, h, w], normalised."""
        return self.encode(pixels[None], self.open_encoder())

    def decoder_state_bytes(self, height: int, width: int) -> int:
        """Bytes that one stream's decoder state holds at a size in pixels."""
        quarter, eighth = self.dims.widths
        area = (height // LATENT_STRIDE) * (width // LATENT_STRIDE)
        return area * (2 * eighth + 4 * 2 * quarter) * self.dtype.itemsize

    def encode_clips(self, frames: Tensor, memories: list[Tensor | None] | None = None) -> Tensor:
        """Frames [B, 4F, 3, H, W] to normalised latents [B, F, C, h, w]; with gradients."""
        z: Tensor = self.encoder(frames, self.encoder.open() if memories is None else memories)
        return (z - self.latent_mean) / self.latent_std

    def decode_clips(self, z: Tensor, memories: list[Tensor | None] | None = None) -> Tensor:
        """Normalised latents [B, F, C, h, w] to frames [B, 4F, 3, H, W]; with gradients."""
        frames: Tensor = self.decoder(z, self.decoder.open() if memories is None else memories)
        return frames


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _expect(x: Any, channels: int, what: str) -> None:
    if x.ndim != 4 or x.shape[0] < 1 or x.shape[1] != channels:
        raise ValueError(f"expected {what} with {channels} channels, got {list(x.shape)}")
