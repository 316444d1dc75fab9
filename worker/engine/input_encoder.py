"""The input side of one stream: pictures checked, encoded, and judged by how much they move."""

from __future__ import annotations

import torch
from torch import Tensor

from .interfaces import Encoder, StageTimer
from .params import StreamParams
from .pixels import model_range
from .preset import FRAMES_PER_LATENT, MotionController, Preset
from .schedule import MIN_STRENGTH

_LEVELS = 127.5


class NoiseScale:
    """The noise scale of each block made from input."""

    def __init__(self, controller: MotionController | None) -> None:
        """Start at rest; without a controller the scale is what is asked for."""
        self._controller = controller
        self._last: Tensor | None = None
        self._scale: float | None = None

    def next(self, strength: float, pictures: Tensor, *, controlled: bool) -> float:
        """The scale of the block that is made from `pictures`.

        With d the largest root mean square of the change from one picture to the next, the block
        before's last one included, as a part of what counts as full motion (at most 1):
        scale = (1 - memory) (strength - gain d) + memory (the block before's scale). The first
        block's is `strength`. Never less than the least strength.

        Args:
            strength: asked for, 0-1.
            pictures: uint8 [T, H, W, 3], or floats [T, 3, H, W] in [-1, 1].
            controlled: whether motion counts in this block.
        """
        controller, first = self._controller, self._last is None
        if controller is None:
            return strength
        motion = 0.0 if first or not controlled else self._motion(pictures, controller)
        self._last = pictures[-1].clone()
        if not controlled or first or self._scale is None:
            self._scale = strength
        else:
            wanted = strength - controller.gain * motion
            scale = (1 - controller.memory) * wanted + controller.memory * self._scale
            self._scale = max(scale, MIN_STRENGTH)
        return self._scale

    def _motion(self, pictures: Tensor, controller: MotionController) -> float:
        """How much the pictures move, 0-1. On a GPU this waits for them."""
        assert self._last is not None
        levels = _LEVELS if pictures.dtype == torch.uint8 else 1.0
        before, most = self._last.float(), 0.0
        for picture in pictures:
            now = picture.float()
            most = max(most, float((now - before).square_().mean().sqrt_()) / levels)
            before = now
        return min(most / controller.full_motion, 1.0)


class InputEncoder:
    """Pictures of one stream, until it starts over."""

    def __init__(
        self, preset: Preset, vae: Encoder, device: torch.device, timer: StageTimer
    ) -> None:
        """Begin before the first picture."""
        self._preset = preset
        self._vae = vae
        self._device = device
        self._timer = timer
        self._state = vae.open_encoder()
        self._entered = False
        self._scale = NoiseScale(preset.motion)

    def pictures_needed(self, frames: int) -> int:
        """How many pictures make `frames` latent frames now: fewer at the start of the input."""
        return frames * FRAMES_PER_LATENT - (0 if self._entered else FRAMES_PER_LATENT - 1)

    def encode(self, pictures: Tensor, frames: int, params: StreamParams) -> tuple[Tensor, float]:
        """Latents [frames, C, h, w] of the next pictures, and the strength of their block.

        Raises:
            ValueError: wrong number or size of pictures; nothing has changed.
        """
        check_size(pictures, self.pictures_needed(frames), params)
        with self._timer("encode"):
            pixels = model_range(pictures, self._device)
            normalise = self._preset.normalise_input
            latents = self._vae.encode(pixels, self._state, normalise=normalise)
            controlled = params.noise_controller
            strength = self._scale.next(params.strength, pictures, controlled=controlled)
        self._entered = True
        return latents.to(self._device, torch.float32), strength


def encode_start(
    picture: Tensor, frames: int, params: StreamParams, vae: Encoder, device: torch.device
) -> Tensor:
    """The context latents of a start frame: the picture held for `frames` latent frames.

    Args:
        picture: uint8 [H, W, 3].

    Raises:
        ValueError: it has another size than the stream's.
    """
    check_size(picture[None], 1, params)
    held = 1 + FRAMES_PER_LATENT * (frames - 1)
    pixels = model_range(picture[None], device).expand(held, -1, -1, -1)
    return vae.encode(pixels, vae.open_encoder()).to(device, torch.float32)


def check_size(pictures: Tensor, count: int, params: StreamParams) -> None:
    """Refuse pictures of another number or size than the stream's.

    Raises:
        ValueError: says what was expected.
    """
    height, width = params.height, params.width
    eight = pictures.dtype == torch.uint8
    wanted = [count, height, width, 3] if eight else [count, 3, height, width]
    if list(pictures.shape) != wanted:
        raise ValueError(f"expected pictures {wanted}, got {list(pictures.shape)}")
