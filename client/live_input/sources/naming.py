"""What `--input` names beside files and folders: cameras, screens, URLs, a pipe, a test picture.

Reserved words win over files of that name. Opens nothing; knows FFmpeg's names for things, and what
of a URL may be shown.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import certifi

from framewire.client.errors import InputError

from .devices import camera_at, usual_display

WEBCAM, SCREEN, TEST, PIPE = "webcam", "screen", "testsrc", "-"
KINDS = "a file, a folder, webcam, screen, testsrc, - or a URL (rtsp, rtmp, udp, http, https)"

HALF_URL = re.compile(r"(rtsps?|rtmps?|udp|https?|wss?):(?!//)", re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"^[^/@:\s]+:[^@\s]+@")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[\w.-]*)(:\d+)?")
_REGION = re.compile(r"(\d+)x(\d+)(?:\+(\d+)\+(\d+))?")
_NEEDED = {
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmp,rtmps,tcp,tls",
    "udp": "udp",
    "http": "http,https,tcp,tls,crypto,httpproxy",
    "https": "http,https,tcp,tls,crypto,httpproxy",
}
"""The protocols that an answer may lead FFmpeg to: no file of this machine among them."""
ENCRYPTED = ("https", "rtsps", "rtmps")
UNTRUSTED = "where its certificate is not trusted here, SSL_CERT_FILE names a file of authorities"
_SCREENS = {"darwin": ("avfoundation", "Capture screen 0"), "win32": ("gdigrab", "desktop")}
_TEST_PICTURE = "testsrc=size=832x480:rate=24"


@dataclass(frozen=True, slots=True)
class Named:
    """What FFmpeg is to open.

    Attributes:
        kind: what it is.
        shown: its name, free of secrets.
        place: FFmpeg's name or URL, which may hold a password; empty for a pipe.
        format: FFmpeg's format, where that has to be said.
        options: FFmpeg's options.
        clocked: it delivers faster than time passes, so it is read at the rate of its own times.
        ends: its end is the end; else it is opened again.
    """

    kind: Literal["webcam", "screen", "testsrc", "pipe", "network"]
    shown: str
    place: str = field(repr=False)
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    clocked: bool = False
    ends: bool = False


def named(text: str) -> Named | None:
    """What `--input` names, if it is live; None for the name of a file or folder.

    Raises:
        InputError: it looks like a live source, but is none; says what would be right.
    """
    word, colon, rest = text.partition(":")
    refuse_half_url(text)
    if text == PIPE:
        return Named("pipe", "standard input", "", clocked=True, ends=True)
    if text == TEST:
        return Named("testsrc", TEST, _TEST_PICTURE, "lavfi", clocked=True)
    if _URL.match(text):
        return _network(text)
    if word == WEBCAM and (colon or not rest):
        driver, place = camera_at(rest)
        # A Mac's cameras refuse FFmpeg's own default of 29.97.
        options = {"framerate": "30"} if driver == "avfoundation" else {}
        return Named("webcam", text, place, driver, options)
    if word.partition("@")[0] == SCREEN:
        return _screen(text)
    return None


def shown(url: str) -> str:
    """A URL as people may see it: without a user, a password, or what its query says; of RTMP's path
    without the last part, which is a key where something is sent. A file's name is itself."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        half = HALF_URL.match(url)
        return f"{half[1]}:…" if half else _USER.sub("…@", url)
    place, path = re.fullmatch(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if not _PLACE.fullmatch(place):
        if "@" not in place and "@" in path:  # the password holds a /, a ? or a #
            place, path = f"{place}{path}".rsplit("@", 1)[1], ""
            place, path = re.fullmatch(r"([^/?#]*)(.*)", place, re.DOTALL).groups()  # type: ignore[union-attr]
        host = place.rsplit("@", 1)[-1]
        place = f"…@{host}" if _PLACE.fullmatch(host) else "…"
    path, mark, _ = path.partition("?")
    path = path.partition("#")[0]
    if scheme.lower().startswith("rtmp") and path.strip("/"):
        app, _, key = path[1:].partition("/")
        path, mark = f"/{app}/…" if key else "/…", ""
    return f"{scheme}://{place}{path}{'?…' if mark else ''}"


def refuse_half_url(text: str) -> None:
    """Check that what begins as a URL is one: else it would be a file's name, and be shown whole.

    Raises:
        InputError: it is half of one.
    """
    found = HALF_URL.match(text)
    if found is not None:
        raise InputError(
            f"{shown(text)} is no URL, which begins with {found[1]}://",
            hint=f"a file is ./{shown(text)}",
        )
    if "://" in text and not _URL.match(text):
        raise InputError(f"{shown(text)} is no URL", hint="which begins like rtsp://")


def _network(url: str) -> Named:
    found = _URL.match(url)
    scheme = found[1].lower() if found else ""
    seen = shown(url)
    if scheme not in _NEEDED:
        raise InputError(
            f"{seen}: {scheme}:// is no source that is known here", hint=f"there is {KINDS}"
        )
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if scheme == "udp":
        is_whole = is_whole or bool(re.match(r"udp://(@?:|@)", url))
        is_whole = is_whole and bool(re.search(r":\d+(?:[/?]|$)", url))
    if not is_whole or ("@" in url and not _is_split_alike(url)):
        raise InputError(
            f"{seen} is no URL",
            hint="like rtsp://user:password@host:554/path; in a password write %40 for @, "
            "%2F for /, %3F for ? and %23 for #",
        )
    options = {"protocol_whitelist": _NEEDED[scheme], "analyzeduration": "2000000"}
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_flags"] = "prefer_tcp"  # by UDP, pictures with holes come through
    if scheme == "udp":
        options["overrun_nonfatal"] = "1"
    if scheme in ("http", "https"):
        options |= {"reconnect": "1", "reconnect_delay_max": "5"}  # of a file, where it broke off
    if scheme in ENCRYPTED:
        options |= {"tls_verify": "1", "ca_file": authorities()}
    return Named("network", seen, url, options=options)


def authorities() -> str:
    """The file of those whose certificates are trusted: `SSL_CERT_FILE`, else the system's."""
    return ssl.get_default_verify_paths().cafile or certifi.where()


def _is_split_alike(url: str) -> bool:
    """Whether everybody takes the same part of a URL for its user and password."""
    place = urlsplit(url).netloc
    if place.count("@") > 1:
        return False
    host = place.rsplit("@", 1)[-1]
    return _PLACE.fullmatch(host) is not None


def _screen(text: str) -> Named | None:
    """`screen[:DISPLAY][@WxH+X+Y]`; None where it is a file's name, as in `screens.mp4`."""
    whole, at, region = text.partition("@")
    word, colon, display = whole.partition(":")
    if word != SCREEN:
        return None
    box = _REGION.fullmatch(region)
    if at and (box is None or 0 in (int(box[1]), int(box[2]))):
        raise InputError(
            f"{text}: no region {region!r}",
            hint=f"like screen@1280x720+0+100: size, then place (a file is ./{text})",
        )
    options = {"framerate": "30"}
    if sys.platform in _SCREENS:
        return _screen_elsewhere(text, display, box)
    if colon and display and ":" not in display:
        display = f":{display}"
    display = display or usual_display()
    if not display:
        raise InputError(
            f"{text}: which screen? DISPLAY is not set",
            hint="like screen::0; framewire devices lists them",
        )
    if box is not None:
        options["video_size"] = f"{box[1]}x{box[2]}"
        options |= {"grab_x": box[3] or "0", "grab_y": box[4] or "0"}
    return Named("screen", text, display, "x11grab", options)


def _screen_elsewhere(text: str, display: str, box: re.Match[str] | None) -> Named:
    driver, usual = _SCREENS[sys.platform]
    options = {"framerate": "30"}
    if driver == "avfoundation":
        if box is not None:
            raise InputError(f"{text}: a region is not read here", hint="say --crop WxH+X+Y")
        place = display or usual
        return Named("screen", text, place, driver, options | {"pixel_format": "nv12"})
    if box is not None:
        options["video_size"] = f"{box[1]}x{box[2]}"
        options |= {"offset_x": box[3] or "0", "offset_y": box[4] or "0"}
    return Named("screen", text, display or usual, driver, options)
