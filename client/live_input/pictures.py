"""Single pictures made fit for the wire: checked, and scaled down where they are large.

Pillow (the extra `video`) does it; without it pictures go as they are, and their size is said.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from dataclasses import dataclass
from typing import Any

from framewire.client.errors import InputError
from framewire.protocol.limits import MAX_SIDE, MIN_SIDE
from framewire.protocol.picture_header import PictureRefused, read_header
from framewire.protocol.pictures import WIRE_PICTURES, picture_kind

VIDEO_EXTRA = "pip install 'framewire[video]'"
MAX_BYTES = 2_000_000
"""What is larger is scaled down: gateways were seen to drop connections on 3 MB, without a word."""
_AIM = 1_000_000
"""Bytes of what is encoded anew: many WebSocket servers take 1 MiB at most."""
_QUALITIES = (95, 85, 75)
_SHRINK = 0.8
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF
_END = b"\xff\xd9"
_FILLER = b"\x5a\xa5\x3c" * 100

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Input that is left out: what it is called, why, and how many pictures it would have been."""

    name: str
    reason: str
    count: int = 1

    def __str__(self) -> str:
        times = f" ({self.count} of them)" if self.count > 1 else ""
        return f"{self.name}: {self.reason}{times}"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture that can be sent.

    Attributes:
        data: a JPEG, PNG or WebP file; the one that was given, if it was fit.
        size: width and height in pixels, upright; as stored, where Pillow is not installed.
        note: what was changed, or would better be; empty for nothing.
    """

    data: bytes
    size: Size | None
    note: str = ""


def fitted(data: bytes, name: str, covers: Size | None = None) -> Fitted:
    """`data` as a still JPEG, PNG or WebP of at most 2048 pixels a side and 2 MB. Blocks.

    Args:
        name: to speak of it.
        covers: width and height that the stream is known to have; the picture is not scaled below.

    Raises:
        InputError: it is no picture, is damaged, or is of a kind that nothing here reads.
    """
    if not data:
        raise InputError(f"{name} is empty")
    kind = picture_kind(data)
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return _unread(data, name, kind)
    try:
        _load_plugin(kind)
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
            size = (image.height, image.width) if turned else image.size
            scale = scale_for(size, covers)
            if kind == "JPEG" and scale < 1:  # the decoder may drop to 1/2, 1/4 or 1/8
                image.draft("RGB", _times(image.size, scale))
            loaded, lacks_end = _loaded(image, data, kind)
            is_moving = kind != "JPEG" and getattr(image, "n_frames", 1) > 1
    except UnidentifiedImageError:
        raise _unknown(name, kind) from None
    except Exception as error:  # noqa: BLE001 (Pillow's plugins raise nearly anything)
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{name} is damaged: {said}") from None
    if kind in WIRE_PICTURES and not is_moving and scale == 1 and len(data) <= MAX_BYTES:
        return Fitted(data.removesuffix(b"\xff") + _END if lacks_end else data, size)
    target = _times(size, scale)
    sent = encoded(_plain(loaded).resize(target, reducing_gap=3.0), covers)
    if is_moving:
        note = f"{name} moves: its first picture is used"
    elif scale < 1 or len(data) > MAX_BYTES:
        note = (
            f"{name}, {size[0]}x{size[1]} and {len(data) / 1e6:.1f} MB, "
            f"is sent as {target[0]}x{target[1]}, {len(sent) / 1e6:.1f} MB"
        )
    else:
        note = f"{name} is sent as a JPEG, not as {kind or 'it is'}"
    return Fitted(sent, target, note)


def encoded(image: Any, covers: Size | None = None) -> bytes:
    """A Pillow image as a JPEG of at most 1 MB, scaled down if nothing else helps."""
    least = scale_for(image.size, covers, MIN_SIDE)
    scale = 1.0
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            if file.tell() <= _AIM:
                return file.getvalue()
        smaller = max(least, scale * _SHRINK)
        if smaller >= scale:
            return file.getvalue()
        image = image.resize(_times(image.size, smaller / scale))
        scale = smaller


def is_large(data: bytes) -> bool:
    """Whether `fitted` would scale a picture down, by its bytes and header alone."""
    if len(data) > MAX_BYTES:
        return True
    size = header_size(data)
    return size is not None and max(size) > MAX_SIDE


def header_size(data: bytes) -> Size | None:
    """Width and height as stored, from the header alone; None where it tells none."""
    with contextlib.suppress(PictureRefused):
        if (header := read_header(data)) is not None:
            return header.width, header.height
    return None


def _unread(data: bytes, name: str, kind: str | None) -> Fitted:
    """What can be said of a picture without Pillow."""
    if kind not in WIRE_PICTURES:
        raise _unknown(name, kind)
    size, note = header_size(data), ""
    if is_large(data):
        shape = "{}x{} and ".format(*size) if size else ""
        note = (
            f"{name}, {shape}{len(data) / 1e6:.1f} MB, is sent as it is, though some gateways do "
            f"not take it; {VIDEO_EXTRA} lets it be scaled down"
        )
    return Fitted(data, size, note)


def _unknown(name: str, kind: str | None) -> InputError:
    if kind is None:
        return InputError(f"{name} is no picture", hint="a JPEG, PNG or WebP is one")
    hint = f"convert it, as by `magick {name} picture.jpg`"
    if kind in ("HEIC", "HEIF"):
        hint = f"pip install pillow-heif, or {hint}; on a Mac `sips -s format jpeg`"
    elif kind == "AVIF":
        hint = f"{VIDEO_EXTRA} with Pillow 11.3 or later, or {hint}"
    return InputError(f"{name} is a file of {kind}, which cannot be read here", hint=hint)


def _load_plugin(kind: str | None) -> None:
    """What lets Pillow read a kind that it does not by itself, where that is installed."""
    if kind in ("HEIC", "HEIF"):
        with contextlib.suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()


def _loaded(image: Any, data: bytes, kind: str | None) -> tuple[Any, bool]:
    """The image with its pixels, and whether it is a JPEG that lacks nothing but its end marker.

    Raises:
        OSError: it is cut off.
    """
    try:
        image.load()
        return image, False
    except OSError as error:
        if kind != "JPEG" or "truncated" not in str(error):
            raise
    # With an end put behind it a JPEG decodes however much is missing. If nothing is, then what
    # comes before the end makes no difference.
    whole, other = (_decoded(data.removesuffix(b"\xff") + extra + _END) for extra in (b"", _FILLER))
    if whole.tobytes() != other.tobytes():
        raise OSError("it is cut off")
    return whole, True


def _decoded(data: bytes) -> Any:
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _plain(image: Any) -> Any:
    """Upright, in RGB, transparency over black."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit greyscale, which `convert` would clip to white
        return image.convert("I").point(lambda level: level * (1 / 256)).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


def scale_for(size: Size, covers: Size | None, most: int = MAX_SIDE) -> float:
    """What brings the longer side to `most` pixels, but keeps each side as long as `covers`."""
    floors = [most / max(size)]
    if covers is not None:
        floors += [covers[0] / size[0], covers[1] / size[1]]
    return min(1.0, max(floors))


def _times(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
