"""What a camera sees, as JPEGs, by FFmpeg's drivers (the extra `video`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from framewire.client.errors import InputError, in_words

from .decoding import Decoding
from .pictures import encoded
from .video import load_av

_DRIVERS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "default"),
    "win32": ("dshow", "video=Integrated Camera"),
}


def camera_pictures(device: str) -> Iterator[bytes]:
    """Each picture in turn, for as long as the camera gives any. Blocks.

    Args:
        device: its name to the system's driver; empty for the usual one.

    Raises:
        InputError: there is no such camera, or it stopped.
    """
    driver, usual = _DRIVERS.get(sys.platform, _DRIVERS["linux"])
    device = device or usual
    av = load_av(device)
    try:
        container = av.open(device, format=driver)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "name another as --input webcam:NAME"
        raise InputError(f"no camera at {device}: {in_words(error)}", hint=hint) from error
    with container:
        for frame in Decoding(container, device).frames():
            yield encoded(frame.to_image())
