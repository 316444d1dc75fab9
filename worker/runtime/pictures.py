"""Pictures in and frames out: decodes what a viewer sends, encodes what a backend made.

Everything here blocks, so it runs on the worker's threads. What comes in is hostile: it is told by
its content, and its header is judged before a pixel is decoded.
"""

from __future__ import annotations

import io
import math
import struct
import zlib

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from framewire.protocol.limits import MAX_SIDE, MIN_SIDE
from framewire.protocol.picture_header import START_FRAME, Bounds, PictureRefused, judge_picture
from framewire.protocol.pictures import picture_kind
from framewire.worker.backends.base import Frames

_Picture = JpegImageFile | PngImageFile | WebPImageFile
# What Pillow's plugins raise on bytes that are not what they claim to be; its warnings (of broken
# EXIF data) come as exceptions where the program asked for that.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error,
    UserWarning,
)  # fmt: skip
_ORIENTATION_TAG = 0x0112
_END = b"\xff\xd9"
_UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


class PictureError(ValueError):
    """These bytes are no picture that can be used; the message is one line for the sender."""


def decode_picture(
    data: bytes, width: int | None, height: int | None, bounds: Bounds = START_FRAME
) -> NDArray[np.uint8]:
    """The picture in `data`, upright, cropped about its centre and resized; alpha over black.

    Args:
        data: a JPEG, PNG or WebP file.
        width, height: of the result, in pixels; None keeps the picture's own.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        PictureError: no still picture of these formats, beyond `bounds`, or damaged.
    """
    image = _opened(data, bounds)
    turned = _orientation(image)
    own = _upright_size(image, turned)
    size = (width or own[0], height or own[1])
    if turned in _SIDEWAYS:
        size = (size[1], size[0])
    try:
        try:
            fitted = _fitted(image, size)
        except OSError as error:
            if not _lacks_its_end_only(image, data, error):
                raise
            fitted = _fitted(_opened(data.removesuffix(b"\xff") + _END, bounds), size)
    except _DAMAGE as error:
        raise PictureError(f"the picture is damaged: {_one_line(error)}") from error
    if turned in _UPRIGHT:
        fitted = fitted.transpose(_UPRIGHT[turned])
    return np.array(fitted)


def picture_size(data: bytes, bounds: Bounds = START_FRAME) -> tuple[int, int]:
    """Width and height of the picture in `data` when upright, from its header alone.

    Raises:
        PictureError: no still picture of the known formats, or beyond `bounds`.
    """
    image = _opened(data, bounds)
    return _upright_size(image, _orientation(image))


def snapped(width: int, height: int, multiple: int) -> tuple[int, int]:
    """The nearest size that can be made: multiples of `multiple`, 64 to 2048 a side.

    What is larger than 2048 is scaled down whole, so that it keeps its shape.
    """
    scale = min(1.0, MAX_SIDE / max(width, height))
    least, most = -(-MIN_SIDE // multiple) * multiple, MAX_SIDE // multiple * multiple

    def snap(side: int) -> int:
        return min(max(math.floor(side * scale / multiple + 0.5) * multiple, least), most)

    return snap(width), snap(height)


def encode_jpegs(frames: Frames, quality: int = 90) -> list[bytes]:
    """Each of `frames` [T, H, W, 3] as a whole JPEG with 4:2:0 chroma.

    The encoder lets go of the GIL: threads of several sessions encode at once.
    """
    return [
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(frame), quality=quality, colorspace="RGB", colorsubsampling="420"
        )
        for frame in frames
    ]


def _opened(data: bytes, bounds: Bounds) -> _Picture:
    """The picture with its header read and judged, its pixels not decoded.

    The plugins are called directly: `Image.open` would take a phone's JPEG with a preview in it
    for an animation, and warns of large pictures where this refuses them.
    """
    image: _Picture
    try:
        judge_picture(data, bounds)  # the WebP plugin allocates the canvas when it opens
        if data.startswith(b"\xff\xd8\xff"):
            image = JpegImageFile(io.BytesIO(data))
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            image = PngImageFile(io.BytesIO(data))
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            image = WebPImageFile(io.BytesIO(data))
        else:
            raise PictureError(_what_it_is(data))
    except PictureError:
        raise
    except PictureRefused as error:
        raise PictureError(str(error)) from error
    except _DAMAGE as error:
        raise PictureError(f"the picture's header is damaged: {_one_line(error)}") from error
    if image.width * image.height > bounds.pixels:  # the plugin reads another size from it
        raise PictureError("the picture's header is damaged: it has two sizes")
    if not isinstance(image, JpegImageFile) and image.is_animated:
        raise PictureError("an animated picture; send a still one")
    return image


def _what_it_is(data: bytes) -> str:
    kind = picture_kind(data)
    found = f"this is {kind}: " if kind else ""
    return f"{found}not a JPEG, PNG or WebP picture{': convert it to one' if kind else ''}"


def _lacks_its_end_only(image: _Picture, data: bytes, error: Exception) -> bool:
    """Whether a JPEG that ends too soon has all of its pixels.

    With an end put behind it a JPEG decodes however much is missing; this decoder can be asked to
    refuse what is.
    """
    if not isinstance(image, JpegImageFile) or "truncated" not in str(error):
        return False
    try:
        simplejpeg.decode_jpeg(data.removesuffix(b"\xff") + _END, "GRAY", strict=True)
    except (ValueError, RuntimeError):
        return False
    return True


def _orientation(image: _Picture) -> int:
    """The EXIF orientation, 1 to 8; what cannot be read counts as upright."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(_ORIENTATION_TAG, 1))
    except _DAMAGE:
        return 1


def _upright_size(image: _Picture, turned: int) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if turned in _SIDEWAYS else (width, height)


def _fitted(image: _Picture, size: tuple[int, int]) -> Image.Image:
    """`image` decoded to RGB, its centre cut to the shape of `size` and resized to it."""
    scale = max(size[0] / image.width, size[1] / image.height)
    if isinstance(image, JpegImageFile):
        # Lets the decoder drop to 1/2, 1/4 or 1/8 where what is left still covers `size`.
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    plain = _eight_bit(image)
    scale = max(size[0] / plain.width, size[1] / plain.height)
    width, height = size[0] / scale, size[1] / scale
    left, top = (plain.width - width) / 2, (plain.height - height) / 2
    right, bottom = min(plain.width, left + width), min(plain.height, top + height)
    box = (max(0.0, left), max(0.0, top), right, bottom)
    resized = plain.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    if resized.mode == "RGBA":
        black = Image.new("RGBA", size, (0, 0, 0, 255))
        resized = Image.alpha_composite(black, resized).convert("RGB")
    return resized


def _eight_bit(image: _Picture) -> Image.Image:
    """The decoded pixels as RGB, or as RGBA where the picture has transparency."""
    if image.mode.startswith("I"):  # 16-bit greyscale, which `convert` would clip to white
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
