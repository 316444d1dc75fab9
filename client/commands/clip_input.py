"""Pictures to send as live input: from a video file, a folder of pictures or a camera.

Owns reading them, one encoded picture at a time, and what is known of a source beforehand. PyAV
and Pillow (the extra `video`) are needed for videos and cameras, not for folders. Knows no session.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from framewire.client.errors import InputError

VIDEO_EXTRA = "pip install 'framewire[video]'"
WEBCAM = "webcam"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_CAMERAS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "default"),
    "win32": ("dshow", "video=Integrated Camera"),
}
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Clip:
    """Where input comes from.

    Attributes:
        name: a file, a folder, `webcam`, or `webcam:` and the camera's name.
        policy: the stream's `input`: every picture of a clip, the newest of a camera.
        fps: of the source, where it has a rate.
    """

    name: str
    policy: Literal["newest", "all"]
    fps: float | None = None

    def pictures(self) -> Iterator[bytes]:
        """Its pictures in order, each a JPEG, PNG or WebP file. Blocks.

        Raises:
            InputError: it cannot be opened, or is damaged.
        """
        if self.policy == "newest":
            return _decoded(*_camera(self.name))
        path = Path(self.name)
        return _files(path) if path.is_dir() else _decoded(str(path), None)


def clip_from(name: str) -> Clip:
    """What `--input` means. Blocks.

    Raises:
        InputError: there is no such clip or camera, or what reads it is not installed.
    """
    if name == WEBCAM or name.startswith(f"{WEBCAM}:"):
        _load_av(name)
        return Clip(name, "newest")
    path = Path(name)
    if path.is_dir():
        if not _listed(path):
            raise InputError(f"{name} has no pictures", hint=f"it may hold {', '.join(PICTURES)}")
        return Clip(name, "all")
    if not path.is_file():
        raise InputError(f"{name}: no such file or folder", hint="or say --input webcam")
    with _opened(name, None) as container:
        rate = container.streams.video[0].average_rate
    return Clip(name, "all", float(rate) if rate else None)


def _files(folder: Path) -> Iterator[bytes]:
    for path in _listed(folder):
        try:
            yield path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error


def _listed(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _camera(name: str) -> tuple[str, str]:
    """The device and the driver of a camera."""
    driver, usual = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    return name.partition(":")[2] or usual, driver


def _decoded(source: str, driver: str | None) -> Iterator[bytes]:
    """Every picture of a video or camera as a JPEG, upright."""
    av = _load_av(source)
    with _opened(source, driver) as container:
        try:
            for frame in container.decode(video=0):
                image = frame.to_image()
                if frame.rotation:
                    image = image.rotate(frame.rotation, expand=True)
                data = io.BytesIO()
                image.save(data, "JPEG", quality=_QUALITY)
                yield data.getvalue()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{source}: damaged: {error}") from error


def _opened(source: str, driver: str | None) -> Any:
    """A container with a picture track."""
    av = _load_av(source)
    try:
        container = av.open(source, format=driver)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if driver is None:
            raise InputError(f"{source} is no video that can be read: {error}") from error
        hint = "name another as --input webcam:NAME"
        raise InputError(f"no camera at {source}: {error}", hint=hint) from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{source} has no picture track")
    return container


def _load_av(name: str) -> Any:
    try:
        import av
        import PIL  # noqa: F401
    except ImportError:
        raise InputError(f"reading {name} needs PyAV and Pillow", hint=VIDEO_EXTRA) from None
    return av
