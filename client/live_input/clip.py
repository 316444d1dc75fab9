"""Files, folders of pictures, and files on the web: every picture of them is used."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from framewire.client.errors import InputError, in_words

from .clip_sound import clip_sound
from .folder import ENDINGS, folder_pictures, listed
from .pictures import VIDEO_EXTRA, Fitted, Size, Unusable, encoded
from .sources.framing import AS_IT_IS, Framing
from .sources.naming import Named, shown
from .sources.sound import SoundPiece
from .video import probe, video_pictures


@dataclass(slots=True)
class Clip:
    """Input with an end, all of which is used. A `Source`, which says what its attributes are.

    Attributes:
        remote: where it is, if not on this machine.
        framing: what is cut off, and how the rest fills the stream.
        resampled: pictures a second that it is brought to; None for its own.
        sound_at: see `Source`.
    """

    name: str
    policy: Literal["newest", "all"] = "all"
    fps: float | None = None
    size: Size | None = None
    total: int | None = None
    notes: tuple[str, ...] = ()
    has_sound: bool = False
    remote: Named | None = None
    framing: Framing = AS_IT_IS
    resampled: float | None = None
    sound_at: float | None = field(default=None, init=False)

    @property
    def path(self) -> Path | None:
        return Path(self.name) if self.remote is None else None

    @property
    def seen(self) -> int:
        return 0

    @property
    def at(self) -> None:
        return None

    def pictures(self, covers: Size | None = None) -> Iterator[bytes | Unusable]:
        """See `Source`."""
        place = self.remote or Path(self.name)
        if not isinstance(place, Path) or not place.is_dir():
            for one in video_pictures(place, covers, self.framing, self.resampled):
                if isinstance(one, Unusable):
                    yield one
                else:
                    self.sound_at = one.at
                    yield one.jpeg
            return
        for found in folder_pictures(place, self.framing.covers(covers)):
            if isinstance(found, Unusable):
                yield found
            else:
                yield self._framed(found.data, covers)

    def sound(self, since: float = 0.0) -> Iterator[SoundPiece]:
        """See `Source`."""
        if self.has_sound:
            yield from clip_sound(self.remote or Path(self.name), since)

    def close(self) -> None:
        """Nothing is held open."""

    def _framed(self, data: bytes, covers: Size | None) -> bytes:
        if self.framing == AS_IT_IS:
            return data
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            return encoded(self.framing.applied(image.convert("RGB"), covers), covers)


def clip_from(
    name: str,
    *,
    framing: Framing = AS_IT_IS,
    fps: float | None = None,
    sound: bool = False,
    remote: Named | None = None,
) -> Clip:
    """A file or folder of that name. Blocks.

    Args:
        fps: pictures a second that it is brought to; of a folder, which has no rate, its rate.
        sound: whether its sound is used; else it is noted as left out.
        remote: where it is, if not on this machine.

    Raises:
        InputError: there is no such clip, or what reads it is not installed.
    """
    path = Path(name)
    if remote is None:
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except OSError as error:
            raise InputError(f"{shown(name)}: {in_words(error)}") from None
        if is_folder:
            return _folder(path, name, framing, fps)
        if not is_file:
            raise InputError(
                f"{shown(name)}: no such file or folder", hint="or say --input webcam, or a URL"
            )
    found = probe(remote or path, framing, fps, with_sound=sound)
    return Clip(
        name,
        fps=found.fps,
        size=found.size,
        total=found.total,
        notes=found.notes,
        has_sound=found.has_sound and sound,
        remote=remote,
        framing=framing,
        resampled=fps,
    )


def _folder(path: Path, name: str, framing: Framing, fps: float | None) -> Clip:
    total = len(listed(path))
    if not total:
        raise InputError(f"{name} has no pictures", hint=f"it may hold {', '.join(ENDINGS)}")
    if framing != AS_IT_IS:
        try:
            import PIL  # noqa: F401
        except ImportError:
            raise InputError(
                "to crop, fit or mirror pictures needs Pillow", hint=VIDEO_EXTRA
            ) from None
    covers = framing.covers(None)
    usable = (found for found in folder_pictures(path, covers) if isinstance(found, Fitted))
    first = next(usable, None)
    if first is None:
        return Clip(name, fps=fps, total=total, framing=framing)
    size = framing.shape(first.size, name) if first.size else None
    notes = (first.note,) * bool(first.note)
    return Clip(name, fps=fps, size=size, total=total, notes=notes, framing=framing)
