"""The cameras and screens of this machine, as its drivers name them. Opens none."""

from __future__ import annotations

import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framewire.client.errors import InputError

_DRIVERS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_USUAL = {"linux": "/dev/video0", "darwin": "default", "win32": ""}
_V4L2 = Path("/sys/class/video4linux")
_DEV = Path("/dev")
_X11 = Path("/tmp/.X11-unix")


@dataclass(frozen=True, slots=True)
class Device:
    """One camera or screen.

    Attributes:
        kind: which of the two.
        input: what `--input` takes for it.
        name: what people call it.
    """

    kind: Literal["camera", "screen"]
    input: str
    name: str


def devices() -> list[Device]:
    """All that are found; none where the drivers or PyAV are not there. Blocks."""
    return [*cameras(), *screens()]


def cameras() -> list[Device]:
    """The cameras: on Linux by the kernel, elsewhere as FFmpeg lists them."""
    if sys.platform == "linux":
        return [Device("camera", f"webcam:{at}", name) for at, name in _kernels_cameras()]
    return [
        Device("camera", f"webcam:{name}", said)
        for name, said in _listed()
        if not said.startswith("Capture screen")
    ]


def screens() -> list[Device]:
    """The screens: on Linux the X servers that listen, the usual one first."""
    if sys.platform == "win32":
        return [Device("screen", "screen", "the desktop")]
    if sys.platform == "darwin":
        return [
            Device("screen", f"screen:{name}", said)
            for name, said in _listed()
            if said.startswith("Capture screen")
        ]
    usual = usual_display()
    found = sorted(_X11.glob("X*")) if _X11.is_dir() else []
    displays = [
        f":{path.name[1:]}" for path in found if path.name[1:].isdecimal() and _listens(path)
    ]
    if usual:
        local = re.sub(r"\.\d+$", "", usual)
        displays = [usual, *(one for one in displays if one != local)]
    return [Device("screen", f"screen:{one}", f"display {one}") for one in displays]


def _listens(path: Path) -> bool:
    """Whether somebody is at a local socket: one that was killed leaves its file behind."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(1)
        return one.connect_ex(str(path)) == 0


def usual_display() -> str:
    """The X server that this program would draw on; empty for none."""
    return os.environ.get("DISPLAY", "")


def camera_at(name: str) -> tuple[str, str]:
    """FFmpeg's driver, and its name for a camera that people call `name`; empty: the usual one.

    Raises:
        InputError: several are called so.
    """
    platform = sys.platform if sys.platform in _DRIVERS else "linux"
    driver = _DRIVERS[platform]
    if platform != "linux":
        if not name:
            name = _USUAL[platform] or next((one for one, _ in _listed()), "Integrated Camera")
        needs_kind = platform == "win32" and not name.startswith("video=")
        return driver, f"video={name}" if needs_kind else name
    if not name:
        known = _kernels_cameras()
        return driver, known[0][0] if known else _USUAL[platform]
    if name.startswith("/"):
        return driver, name
    if name.isdecimal():
        return driver, f"/dev/video{name}"
    alike = [at for at, said in _kernels_cameras() if name.casefold() in said.casefold()]
    if len(alike) > 1:
        raise InputError(
            f"webcam:{name}: there are several, {' and '.join(alike)}", hint="name one by its path"
        )
    return driver, alike[0] if alike else name


def _kernels_cameras() -> list[tuple[str, str]]:
    """Paths and names of what gives pictures; a camera's second node, of its metadata, is none."""
    found = []
    nodes = sorted(_V4L2.glob("video*"), key=lambda path: (len(path.name), path.name))
    for node in nodes:
        try:
            said = (node / "name").read_text("utf-8", "replace").strip()
            is_first = (node / "index").read_text().strip() == "0"
        except OSError:
            continue
        if is_first and (_DEV / node.name).exists():
            found.append((str(_DEV / node.name), said))
    return found


def _listed() -> list[tuple[str, str]]:
    """What FFmpeg's driver lists: its name for each, and people's."""
    try:
        import av

        found = av.enumerate_input_devices(_DRIVERS[sys.platform])
    except (ImportError, KeyError, OSError, ValueError):
        return []
    return [
        (one.description or one.name, one.description or one.name)
        for one in found
        if "audio" not in one.media_types or "video" in one.media_types
    ]
