"""What of a picture is used, and how it fills the stream's: `--crop`, `--fit`, `--mirror`.

Works on Pillow images; numbers and pixels only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from framewire.client.errors import InputError
from framewire.client.live_input.pictures import Size, scale_for

Fit = Literal["cover", "contain", "stretch"]
FITS: tuple[Fit, ...] = ("cover", "contain", "stretch")
WHOLE = (1 << 16, 1 << 16)
"""To cover: nothing is scaled down before a part is cut out, whose place counts its pixels."""
_CROP = re.compile(r"(\d{1,5})x(\d{1,5})\+(\d{1,5})\+(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Framing:
    """How pictures are cut and fitted.

    Attributes:
        crop: width, height, left, top in pixels of the source as shown; None for all of it.
        fit: fill the stream and lose what is beyond, show all between black bars, or stretch.
            None leaves it to the worker, which fills.
        mirror: left and right change sides.
    """

    crop: tuple[int, int, int, int] | None = None
    fit: Fit | None = None
    mirror: bool = False

    def shape(self, size: Size, name: str) -> Size:
        """What is left of pictures of `size`.

        Raises:
            InputError: the part lies outside.
        """
        if self.crop is None:
            return size
        width, height, left, top = self.crop
        if left + width > size[0] or top + height > size[1]:
            raise InputError(
                f"{name}: {width}x{height}+{left}+{top} lies outside of {size[0]}x{size[1]}",
                hint="--crop is WIDTHxHEIGHT+LEFT+TOP",
            )
        return width, height

    def covers(self, target: Size | None) -> Size | None:
        """What the source is not to be scaled below."""
        return target if self.crop is None else WHOLE

    def applied(self, image: Any, target: Size | None, fit: Fit | None = None) -> Any:
        """A Pillow image, cut, fitted to `target` where there is one, and mirrored.

        Args:
            fit: where the framing has none.
        """
        from PIL import Image, ImageOps

        if self.crop is not None:
            width, height, left, top = self.crop
            image = image.crop((left, top, left + width, top + height))
        fit = self.fit or fit
        way = Image.Resampling.BICUBIC
        if target is None or fit is None:
            if (scale := scale_for(image.size, target)) < 1:
                size = [max(1, round(side * scale)) for side in image.size]
                image = image.resize(tuple(size), way, reducing_gap=3.0)
        elif image.size != target:
            if fit == "cover":
                image = ImageOps.fit(image, target, way)
            elif fit == "contain":
                image = ImageOps.pad(image, target, way, color=(0, 0, 0))
            else:
                image = image.resize(target, way, reducing_gap=3.0)
        return ImageOps.mirror(image) if self.mirror else image


AS_IT_IS = Framing()


def parse_crop(text: str) -> tuple[int, int, int, int]:
    """`WxH+X+Y`.

    Raises:
        ValueError: says what was expected.
    """
    found = _CROP.fullmatch(text.lower())
    if found is None or 0 in (int(found[1]), int(found[2])):
        raise ValueError(f"{text!r}: expected WxH+X+Y, such as 640x360+100+0")
    return int(found[1]), int(found[2]), int(found[3]), int(found[4])
