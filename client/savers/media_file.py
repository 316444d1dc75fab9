"""A video container as PyAV writes it, and what becomes of it when the writing fails.

Owns the order of header, pictures, flush and trailer: FFmpeg crashes where a container without a
header is flushed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.live_input.sources.sound import SOUND_LAYOUT, SOUND_RATE

from .fragments import cut_broken_end
from .output_file import OutputFile, save_error


class MediaFile:
    """One container with one picture track, and a sound track where one is asked for.

    Args:
        path: of the finished file.
        av: PyAV.
        format: FFmpeg's name of the container.
        options: of the container; `unseekable` instead, where it goes into a pipe.
    """

    def __init__(
        self,
        path: Path,
        av: Any,
        format: str,
        options: dict[str, str],
        *,
        unseekable: dict[str, str] | None = None,
    ) -> None:
        self._file = OutputFile(path)
        self._path = path
        self._av = av
        self._errors = (av.error.FFmpegError, OSError, ValueError)
        self._format = format
        self._options = options
        self._unseekable = options if unseekable is None else unseekable
        self._container: Any = None
        self._stream: Any = None
        self._sound: Any = None
        self._has_header = False
        self._failure: SaveError | None = None

    def open(self) -> None:
        """Make the file; nothing is written to it yet.

        Raises:
            SaveError: it cannot be made.
        """
        self._file.open()
        options = self._options if self._file.seekable() else self._unseekable
        try:
            with self._failing():
                self._container = self._av.open(
                    self._file, "w", format=self._format, options=options
                )
        except SaveError:
            self._file.discard()
            raise

    def begin(
        self, codec: str, rate: Any, shape: Callable[[Any], None], sound_codec: str | None = None
    ) -> None:
        """Add the tracks, the pictures' made what it should be by `shape`, and write the header.

        Raises:
            SaveError: it cannot be written, by which this file is at its end.
        """
        with self._failing():
            stream = self._container.add_stream(codec, rate=rate)
            shape(stream)
            if sound_codec is not None:
                self._sound = self._container.add_stream(sound_codec, rate=SOUND_RATE)
                self._sound.layout = SOUND_LAYOUT
            self._container.start_encoding()
        self._stream, self._has_header = stream, True

    def add(self, picture: Any) -> None:
        """Encode one picture.

        Raises:
            SaveError: it cannot be written, by which this file is at its end.
        """
        with self._failing():
            self._container.mux(self._stream.encode(picture))

    def add_sound(self, frame: Any) -> None:
        """Encode some sound.

        Raises:
            SaveError: as `add`.
        """
        with self._failing():
            self._container.mux(self._sound.encode(frame))

    def close(self, frames: int) -> tuple[int, int] | None:
        """Finish it and put it in its place, unless nothing in it can be played.

        Args:
            frames: how many were added.

        Returns:
            frames and bytes of what lies there now; None if nothing was put there.

        Raises:
            SaveError: it cannot be put there.
        """
        if self._container is None:
            return None
        if self._has_header and self._failure is None:
            with contextlib.suppress(SaveError), self._failing():
                for stream in (self._stream, self._sound):
                    if stream is not None:
                        self._container.mux(stream.encode(None))
        with contextlib.suppress(SaveError), self._failing():
            self._container.close()
        self._container = self._stream = self._sound = None
        if self._failure is not None:
            frames = self._playable_frames()
        if not frames:
            self._file.discard()
            return None
        return frames, self._file.keep()

    @property
    def is_file(self) -> bool:
        """Whether it goes into an ordinary file."""
        return self._file.is_file

    @property
    def failure(self) -> SaveError | None:
        """What ended it early."""
        return self._failure

    def _playable_frames(self) -> int:
        """Of a file whose writing failed; its broken end is cut off."""
        part = self._file.part
        if part is None or not self._has_header:
            return 0
        try:
            if self._format in ("mp4", "mov"):
                cut_broken_end(part)
            with part.open("rb") as file, self._av.open(file) as container:
                next(container.decode(video=0))
                container.seek(0)
                return sum(1 for packet in container.demux(video=0) if packet.size)
        except (*self._errors, StopIteration, IndexError):
            return 0

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            self._failure = self._failure or save_error(self._path, error)
            raise self._failure from error
