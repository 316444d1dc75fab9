"""The files that a session may use, as it sees them: by ids, never by paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from framewire.protocol import Params
from framewire.protocol.params import uploaded_name
from framewire.worker.backends.base import Picture, SettingsError

_GONE = "no such upload, or its time is over: upload it again"


class VideoSource(Protocol):
    """A video that is read a block's worth at a time, at the size of its stream."""

    @property
    def left_out(self) -> int:
        """Pictures that could not be decoded so far."""

    async def take(self, count: int) -> list[Picture]:
        """The next `count` pictures [H, W, 3]; the last one is repeated at the end of the video.

        None of them once it is used up.

        Raises:
            ValueError: it is damaged beyond use, too large or too slow to decode.
        """


OpenVideo = Callable[[int, int], AbstractAsyncContextManager[VideoSource]]
"""Opens a video at a width and a height; ValueError where it cannot be used."""


class Recording(Protocol):
    """Keeps a stream's frames."""

    async def add(self, jpegs: Sequence[bytes]) -> str | None:
        """Append frames; returns why no more are taken, once."""

    def finish(self) -> None:
        """The stream has ended."""


@dataclass(frozen=True, slots=True)
class StreamFiles:
    """What one stream reads and writes of them.

    Attributes:
        video: opens what its pictures come from, where they do not come over the socket.
        recording: takes its frames, where the viewer asked for that.
    """

    video: OpenVideo | None = None
    recording: Recording | None = None


class ViewerFiles(Protocol):
    """What is kept for the viewers of a worker."""

    def has(self, name: str) -> bool:
        """Whether there is an upload of this name."""

    async def picture(self, name: str) -> bytes | None:
        """The bytes of the upload of this name; None where there is none, or none any more.

        Raises:
            ValueError: it is too large for a picture.
        """

    def video(self, name: str, width: int, height: int) -> AbstractAsyncContextManager[VideoSource]:
        """The upload of this name, opened as a video.

        Raises:
            ValueError: it is not there, or no video that can be used.
        """

    def recording(self, session_id: str, width: int, height: int) -> Recording:
        """A new recording of a session, in the place of its last one.

        Raises:
            ValueError: there can be none.
        """


async def with_uploads(params: Params, files: ViewerFiles | None) -> Params:
    """The params with the uploaded start frame that they name, live where they name a video.

    Raises:
        SettingsError: one is not there, or too large.
    """
    found: dict[str, object] = {}
    picture = uploaded_name(params.start_frame or b"")
    if picture is not None:
        try:
            data = await _kept("start_frame", files).picture(picture)
        except ValueError as error:
            raise SettingsError("start_frame", str(error)) from error
        if data is None:
            raise SettingsError("start_frame", _GONE)
        found["start_frame"] = data
    video = uploaded_name(params.input_video or "")
    if video is not None:
        if not _kept("input_video", files).has(video):
            raise SettingsError("input_video", _GONE)
        found["webcam_mode"] = True
    return params.model_copy(update=found)


def video_of(params: Params, files: ViewerFiles | None) -> OpenVideo | None:
    """What opens the video that a stream of these params is made from; None where it is of none."""
    name = uploaded_name(params.input_video or "") if params.webcam_mode else None
    if name is None or files is None:
        return None
    kept = files
    return lambda width, height: kept.video(name, width, height)


def _kept(key: str, files: ViewerFiles | None) -> ViewerFiles:
    if files is None:
        raise SettingsError(key, "no uploads are kept here: send pictures themselves")
    return files
