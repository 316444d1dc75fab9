"""Pictures on their way in and out: fitted to a stream's size, to the VAE's range, and to bytes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def fit(picture: Tensor, height: int, width: int) -> Tensor:
    """Bring a picture to a stream's size: cut to its proportions, then scale.

    Args:
        picture: uint8 [H, W, 3] RGB. What is too much is cut off both sides equally.
        height, width: the stream's, in pixels.

    Returns:
        uint8 [height, width, 3], contiguous, on the picture's device. Scaling is bicubic with
        antialiasing; a picture that has the size already comes back as it is.

    Raises:
        ValueError: the picture has another form or dtype, or no pixels.
    """
    if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"expected a uint8 picture [H, W, 3], got {picture.dtype} {list(picture.shape)}"
        )
    if picture.numel() == 0:
        raise ValueError(f"the picture has no pixels: {list(picture.shape)}")
    cut = _cut(picture, height, width)
    if cut.shape[:2] == (height, width):
        return cut.contiguous()
    levels = cut.movedim(2, 0)[None].float()  # [1, 3, h, w]
    scaled = functional.interpolate(levels, (height, width), mode="bicubic", antialias=True)[0]
    # Bicubic overshoots at edges, and a byte would wrap around.
    return scaled.round().clamp(0, 255).to(torch.uint8).movedim(0, 2).contiguous()


def model_range(pictures: Tensor, device: torch.device) -> Tensor:
    """Pictures as float32 [T, 3, H, W] in [-1, 1] on `device`.

    Args:
        pictures: uint8 [T, H, W, 3], or floats [T, 3, H, W] that are in that range already.
    """
    if pictures.dtype == torch.uint8:
        on_device = pictures.to(device, non_blocking=True)
        return on_device.movedim(-1, 1).float().div_(127.5).sub_(1.0)
    return pictures.to(device, torch.float32, non_blocking=True)


def eight_bit(pixels: Tensor) -> Tensor:
    """Frames [T, 3, H, W] in [-1, 1] as uint8 [T, H, W, 3], fractions cut off."""
    count, channels, height, width = pixels.shape
    out = pixels.new_empty((count, height, width, channels), dtype=torch.uint8)
    # One by one: what is in between then stays in the cache, and is no block's worth of memory.
    for frame, picture in zip(pixels, out, strict=True):
        levels = ((frame.float() + 1.0) / 2.0).clamp_(0.0, 1.0).mul_(255.0)
        picture.copy_(levels.to(torch.uint8).movedim(0, -1))
    return out


def _cut(picture: Tensor, height: int, width: int) -> Tensor:
    """The largest centred part of [H, W, 3] that has the proportions height : width."""
    rows, columns = picture.shape[:2]
    kept_columns = min(columns, max(1, round(rows * width / height)))
    kept_rows = min(rows, max(1, round(columns * height / width)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return picture[top : top + kept_rows, left : left + kept_columns]
