"""What can be fed into a stream: the one shape of clips and of what is live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from .pictures import Size, Unusable
from .sources.sound import SoundPiece


class Source(Protocol):
    """Pictures, and sound where there is any. Its iterators block: read them in threads.

    Attributes:
        name: to speak of it, free of secrets.
        path: of a file or folder of this machine.
        policy: the stream's `input`: every picture of a clip, the newest of what is live.
        fps: pictures a second, where it has a rate.
        size: width and height of its first picture, where one can be known beforehand.
        total: how many pictures it has, where that is known beforehand.
        seen: pictures of what is live that came, used or not.
        notes: what of it is dropped or changed, in words.
        has_sound: whether `sound()` gives any.
        at: when the picture that was handed out last had come, by `time.monotonic()`; None of a
            clip.
        sound_at: when that picture is by the clock of the sound; None of a folder.
    """

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def policy(self) -> Literal["newest", "all"]: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def size(self) -> Size | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def seen(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def has_sound(self) -> bool: ...
    @property
    def at(self) -> float | None: ...
    @property
    def sound_at(self) -> float | None: ...

    def pictures(self, covers: Size | None = None) -> Iterator[bytes | Unusable]:
        """Its pictures in order, each a JPEG, PNG or WebP file, and what cannot be used. Blocks.

        Args:
            covers: width and height of the stream, where they are known.

        Raises:
            InputError: it cannot be read, or not any more.
        """
        ...

    def sound(self, since: float = 0.0) -> Iterator[SoundPiece]:
        """Its sound in order, for each who asks; nothing where there is none. Blocks.

        Args:
            since: seconds by its clock; of what is before, little is read.
        """
        ...

    def close(self) -> None:
        """Read no more. May be called twice."""
        ...
