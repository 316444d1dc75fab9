"""Recordings of streams whose viewers asked for one: their frames on disk, as they were sent.

Bounded as clips are: in number, bytes and life; the oldest that is over makes room for others, and
one alone has a quarter of all at most, after which it ends and the stream goes on. None outlives the
worker. Knows files and time; knows no request, no codec.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_RECORDINGS = 64
_SHARE = 4
_SIZE = struct.Struct(">I")


class Recordings:
    """Those of one worker. Made and used on one event loop.

    Args:
        folder: nobody else's; what lies there is deleted.
        life: seconds that one is kept after its end.
        most_bytes: bytes of all together.
    """

    def __init__(self, folder: Path, life: float, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        self._folder = folder
        self._life = life
        self._most_bytes = most_bytes
        self._kept: dict[str, Recording] = {}

    def begin(self, session_id: str, width: int, height: int) -> Recording:
        """A recording under this id, in the place of one that is over.

        Raises:
            ValueError: another stream is recorded under this id, or too many are.
        """
        before = self._kept.get(session_id)
        if before is not None and not before.is_over:
            raise ValueError("another stream is being recorded under this session's id")
        if before is not None:
            self._drop(before)
        if len(self._kept) >= MOST_RECORDINGS and not self._drop_oldest():
            raise ValueError(f"{MOST_RECORDINGS} streams are being recorded already")
        path = self._folder / secrets.token_hex(16)
        made = self._kept[session_id] = Recording(self, session_id, path, width, height)
        return made

    def find(self, session_id: str) -> Recording | None:
        """The recording under this id, under way or over; None where there is none any more."""
        return self._kept.get(session_id)

    def has_room(self, size: int, whole: int) -> bool:
        """Make room for bytes more of a recording that is under way, if that can be.

        Args:
            whole: bytes that it has with them.
        """
        if whole > self._most_bytes // _SHARE:
            return False
        while self._bytes + size > self._most_bytes:
            if not self._drop_oldest():
                return False
        return True

    def let_expire(self, recording: Recording) -> None:
        """It is over: its time runs."""
        loop = asyncio.get_running_loop()
        recording.expiry = loop.call_later(self._life, self._drop, recording)

    def close(self) -> None:
        """Delete all."""
        for recording in [*self._kept.values()]:
            self._drop(recording)

    @property
    def _bytes(self) -> int:
        return sum(recording.size for recording in self._kept.values())

    def _drop_oldest(self) -> bool:
        over = next((one for one in self._kept.values() if one.is_over), None)
        if over is not None:
            self._drop(over)
        return over is not None

    def _drop(self, recording: Recording) -> None:
        if recording.expiry is not None:
            recording.expiry.cancel()
        if self._kept.get(recording.session_id) is recording:
            del self._kept[recording.session_id]
        recording.path.unlink(missing_ok=True)


class Recording:
    """The frames of one stream; made by `Recordings`.

    Attributes:
        width, height: of each frame, in pixels.
        frames, size: how many there are, and their bytes on disk.
        is_over: the stream has ended.
        clip: the name of the clip that was made of it, and of how many frames.
        making: held by who makes one.
    """

    def __init__(
        self, recordings: Recordings, session_id: str, path: Path, width: int, height: int
    ) -> None:
        self.session_id = session_id
        self.path = path
        self.width, self.height = width, height
        self.frames = self.size = 0
        self.is_over = False
        self.clip: tuple[str, int] | None = None
        self.making = asyncio.Lock()
        self.expiry: asyncio.TimerHandle | None = None
        self._recordings = recordings
        self._is_full = False

    async def add(self, jpegs: Sequence[bytes]) -> str | None:
        """Append frames; where that is not possible no more are taken.

        Returns:
            Why no more are taken, once.
        """
        if self._is_full or self.is_over or not jpegs:
            return None
        data = b"".join(_SIZE.pack(len(jpeg)) + jpeg for jpeg in jpegs)
        self._is_full = not self._recordings.has_room(len(data), self.size + len(data))
        if not self._is_full:
            try:
                await asyncio.to_thread(self._append, data)
            except OSError as error:
                self._is_full = True
                return f"the recording ends after {self.frames} frames: {error.strerror}"
            self.frames += len(jpegs)
            self.size += len(data)
            return None
        return f"the recording ends after {self.frames} frames, which is as much as is kept of one"

    def finish(self) -> None:
        """The stream has ended; a second time is none."""
        if not self.is_over:
            self.is_over = True
            self._recordings.let_expire(self)

    def _append(self, data: bytes) -> None:
        with self.path.open("r+b" if self.size else "wb") as file:
            file.seek(self.size)  # behind what an earlier failure may have left
            file.write(data)


def recorded_frames(path: Path, count: int) -> Iterator[bytes]:
    """The first `count` frames of a recording's file, each a JPEG.

    Raises:
        OSError: it is not there any more.
    """
    with path.open("rb") as file:
        for _ in range(count):
            (size,) = _SIZE.unpack(file.read(_SIZE.size))
            yield file.read(size)
