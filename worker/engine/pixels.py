"""Fitting an input picture of any size to a session's.

Owns the cut and the scaling; bytes go in and come out, and the engine brings them to its own range.
Doesn't know JPEG, sessions or the VAE.
"""

import torch
from torch import Tensor
from torch.nn import functional


def fit(picture: Tensor, height: int, width: int) -> Tensor:
    """Bring a picture to a session's size: cut to its proportions, then scale.

    Args:
        picture: uint8 [H, W, 3] RGB. What is too much is cut off both sides equally.
        height, width: the session's, in pixels.

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


def _cut(picture: Tensor, height: int, width: int) -> Tensor:
    """The largest centred part of [H, W, 3] that has the proportions height : width."""
    rows, columns = picture.shape[:2]
    kept_columns = min(columns, max(1, round(rows * width / height)))
    kept_rows = min(rows, max(1, round(columns * height / width)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return picture[top : top + kept_rows, left : left + kept_columns]
