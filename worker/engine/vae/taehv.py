"""A tiny decoder for Wan2.1 latents: about 25 times less work than the VAE's, slightly softer.

Our implementation of TAEHV's decoder (github.com/madebyollin/taehv, MIT) with its published
parameter names, run a latent at a time: its four frames are one batch, and each memory block sees
the frame before, carried from latent to latent in the stream's state. The decoder alone is here, since TAEHV's encoder aligns frames otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from framewire.worker.engine.checkpoint import assign, read_tensors
from framewire.worker.engine.preset import LATENT_STRIDE

from .layout import keep_faster_layout
from .steps import Step

LATENT_CHANNELS = 16
_WIDTHS = (256, 128, 64, 64)
_GROWTH = (1, 2, 2)
"""Frames out for each frame in, at each of the three levels."""
_TRIMMED = 3
"""Frames before the true first one, which the first latent yields and nobody sees."""


@dataclass
class TaehvState:
    """One session's memory: the last input frame of each memory block, [1, C, h, w]."""

    memories: list[Tensor | None]
    steps: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(memory.nbytes for memory in self.memories if memory is not None)


class _SoftClamp(nn.Module):
    """Keeps outlying latents within 3 of zero, smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _MemoryBlock(nn.Module):
    """Three convolutions over a frame and the one before it, added to the frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width)
        )

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """x, before: [T, C, h, w], `before` being x one frame earlier."""
        return functional.relu(self.conv(torch.cat((x, before), 1)) + x)


class _Grow(nn.Module):
    """One frame into `times` frames: a 1x1 convolution whose output channels are cut in time."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[T, C, h, w] to [times * T, C, h, w]."""
        grown: Tensor = self.conv(x)
        return grown.reshape(-1, *x.shape[1:])


class TaehvDecoder(nn.Module):
    """Latents in, frames out, with the same calls as `StreamingVae` and a state for each session.

    The layers lie in one flat sequence, since the published names number them so.

    Attributes:
        by_latent: as of `StreamingVae`.
    """

    by_latent = True

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_SoftClamp(), _conv(LATENT_CHANNELS, _WIDTHS[0]), nn.ReLU()]
        for level, times in enumerate(_GROWTH):
            width, following = _WIDTHS[level : level + 2]
            layers += [_MemoryBlock(width) for _ in range(3)]
            layers += [nn.Upsample(scale_factor=2), _Grow(width, times)]
            layers += [_conv(width, following, bias=False)]
        layers += [nn.ReLU(), _conv(_WIDTHS[-1], 3)]
        self.decoder = nn.ModuleList(layers)
        self._step = Step(self._run, settled=1)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent frame."""
        return LATENT_CHANNELS

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the network computes in; latents of any float dtype go in."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights, and so all states and frames, are."""
        return next(self.parameters()).device

    def compile_steps(self, **options: Any) -> None:
        """Compile a stream's steps but for its first."""
        self._step.compile(**options)

    def stop_compiling(self) -> None:
        """Compile no further shape, so that no stream of another size stalls the others."""
        self._step.stop_compiling()

    def tune(self, height: int, width: int) -> dict[str, float]:
        """Keep the faster layout of the convolutions; as `StreamingVae.tune`."""
        sides = (height // LATENT_STRIDE, width // LATENT_STRIDE)
        latents, state = torch.zeros(1, LATENT_CHANNELS, *sides), self.open_decoder()
        self.decode(latents, state)
        return {
            "decoder": keep_faster_layout(self, lambda: self.decode(latents, state), self.device)
        }

    def open_decoder(self) -> TaehvState:
        """Begin a stream of latents."""
        return TaehvState([None] * sum(isinstance(layer, _MemoryBlock) for layer in self.decoder))

    @torch.no_grad()
    def decode(self, z: Tensor, state: TaehvState) -> Tensor:
        """Decode the next latents of a stream.

        Args:
            z: normalised latents, [F, 16, h, w], F >= 1.
            state: the stream's; mutated. After an error it is of no more use.

        Returns:
            Frames in [-1, 1], float32, [T, 3, 8h, 8w]. T is 4F, and 4F - 3 at the start of a
            stream. Equal to decoding the whole stream at once.

        Raises:
            ValueError: wrong number of axes or channels, or a size other than the stream's.
        """
        if z.ndim != 4 or z.shape[0] < 1 or z.shape[1] != LATENT_CHANNELS:
            raise ValueError(
                f"expected latents [F, C, h, w] with {LATENT_CHANNELS} channels, "
                f"got {list(z.shape)}"
            )
        first = state.memories[0]
        if first is not None and first.shape[2:] != z.shape[2:]:
            raise ValueError(
                f"this stream's latents are {list(first.shape[2:])} (height, width), "
                f"but got {list(z.shape[2:])}: open a new state for another size"
            )
        parts = []
        for latent in z.to(self.device, self.dtype):
            frames = self._step(latent[None], state.memories, state.steps)
            parts.append(frames if state.steps else frames[_TRIMMED:])
            state.steps += 1
        frames = torch.cat(parts)
        return frames.float().clamp(0.0, 1.0) * 2.0 - 1.0

    def decoder_state_bytes(self, height: int, width: int) -> int:
        """Bytes that one session's state holds at a size in pixels."""
        area = (height // LATENT_STRIDE) * (width // LATENT_STRIDE)
        values = sum(3 * width * (area << 2 * level) for level, width in enumerate(_WIDTHS[:3]))
        return values * self.dtype.itemsize

    def _run(self, x: Tensor, memories: list[Tensor | None]) -> Tensor:
        index = 0
        for layer in self.decoder:
            if not isinstance(layer, _MemoryBlock):
                x = layer(x)
                continue
            memory = memories[index]
            before = torch.cat((torch.zeros_like(x[:1]) if memory is None else memory, x[:-1]))
            # A copy, since a view would keep the whole block alive until the next one.
            memories[index] = x[-1:].clone()
            x = layer(x, before)
            index += 1
        return x


def load_taehv(
    source: Path | Mapping[str, Tensor],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TaehvDecoder:
    """Build the decoder from the published `taew2_1` file, or its tensors; its encoder is left out.

    Raises:
        CheckpointError: the file is unreadable, or isn't the Wan2.1 one.
    """
    label = str(source) if isinstance(source, Path) else "the given TAEHV tensors"
    tensors = read_tensors(source, prefix="decoder.") if isinstance(source, Path) else source
    wanted = {name: value for name, value in tensors.items() if name.startswith("decoder.")}
    with torch.device("meta"):
        model = TaehvDecoder()
    for name, layer in model.decoder.named_children():
        key = f"decoder.{name}.conv.weight"
        if isinstance(layer, _Grow) and key in wanted:
            # Files made for more growth hold more rows: the last ones make the latest frames.
            wanted[key] = wanted[key][-layer.conv.out_channels :]
    assign(model, wanted, source=label, device=torch.device(device), dtype=dtype)
    return model


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
