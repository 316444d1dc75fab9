"""How far blocks may leave their input, set by how much the input moves (StreamDiffusionV2).

Owns one stream's noise scale. What moves is followed more closely: the scale sinks with motion and
comes back when it ends.
"""

import torch
from torch import Tensor

from .preset import MotionController
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
