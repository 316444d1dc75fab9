"""A live source opened by FFmpeg, and what FFmpeg says where that fails, free of secrets."""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from framewire.client.address import redact
from framewire.client.errors import InputError, in_words
from framewire.client.live_input.pyav import load_av
from framewire.protocol import escaped

from .naming import ENCRYPTED, UNTRUSTED, Named

OPEN_SECONDS = 10.0
"""For a source to be opened, and to give its first picture."""
READ_SECONDS = 5.0
"""Without a word, after which a source counts as gone."""

_SHORTEST_PIECE = 4
"""Letters; what is shorter is in other words as well."""

_HINTS = {
    "webcam": "framewire devices lists the cameras; name one as --input webcam:NAME",
    "screen": "framewire devices lists the screens; name one as --input screen:DISPLAY",
    "pipe": "FFmpeg has to tell its kind from the beginning: mpegts, matroska, nut or MJPEG",
}
_LOGGERS = (
    "", "rtsp", "rtp", "sdp", "rtmp", "rtmps", "flv", "udp", "tcp", "tls", "http", "https", "hls",
    "httpproxy", "mpegts", "mpjpeg", "mjpeg", "generic", "AVFormatContext", "AVIOContext",
    "URLContext", "format", "NULL",
)  # fmt: skip


def opened(source: Named, pipe: Pipe | None = None) -> Any:
    """A PyAV container. Blocks, for ten seconds at most.

    Args:
        pipe: what to read, of a pipe.

    Raises:
        InputError: there is nothing, it refuses, or what it gives is no video.
    """
    av = load_av(source.shown)
    _hide_from_logs(source.place)
    if source.format is not None and not _is_known(source.format):
        raise InputError(f"{source.shown}: this PyAV is built without {source.format}")
    began = time.monotonic()
    try:
        if pipe is not None:
            return av.open(pipe, options={"protocol_whitelist": ""})
        return av.open(
            source.place,
            format=source.format,
            options=dict(source.options),
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Some of FFmpeg's readers take their own time-out for bad data.
        is_late = time.monotonic() - began >= OPEN_SECONDS
        said = why(TimeoutError() if is_late else error, OPEN_SECONDS)
        what = {"webcam": "no camera", "screen": "no screen"}.get(source.kind, "cannot be opened")
        # Not `from error`: FFmpeg's names the URL.
        raise InputError(f"{source.shown}: {what}: {said}", hint=_hint(source, error)) from None


def why(error: Exception, seconds: float = READ_SECONDS) -> str:
    """What FFmpeg said, with a time-out in words."""
    if type(error).__name__ == "ExitError" or isinstance(error, TimeoutError):
        return f"nothing came for {seconds:g} s"
    return in_words(error)


def _hint(source: Named, error: Exception) -> str | None:
    is_failed_handshake = getattr(error, "errno", None) == errno.EIO
    if is_failed_handshake and source.place.partition(":")[0].lower() in ENCRYPTED:
        return UNTRUSTED
    return _HINTS.get(source.kind)


class _Hiding(logging.Filter):
    """Takes what URLs hold beside their place out of what FFmpeg logs through PyAV, where a program
    has turned that on."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = redact(record.getMessage())
        for secret in self.secrets:
            text = text.replace(secret, "…")
        record.msg, record.args = escaped(text), ()
        return True


_hiding = _Hiding()


def _hide_from_logs(url: str) -> None:
    """FFmpeg names its loggers by what it is at; filters of a logger do not count for its children."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None:
        return
    pieces = [value for _, value in parse_qsl(parts.query)]
    if parts.scheme.lower().startswith("rtmp"):
        pieces.append(parts.path.rpartition("/")[2])
    _hiding.secrets |= {each for each in (parts.query, parts.password) if each}
    _hiding.secrets |= {each for each in pieces if len(each) >= _SHORTEST_PIECE}
    for name in _LOGGERS:
        logging.getLogger(f"libav.{name}" if name else "libav").addFilter(_hiding)


class Pipe:
    """Standard input as a file of FFmpeg's, whose reading can be stopped.

    Raises:
        InputError: it is a terminal.
    """

    def __init__(self, descriptor: int = 0) -> None:
        if os.isatty(descriptor):
            raise InputError(
                "standard input is a terminal",
                hint="like ffmpeg … -f mpegts - | framewire stream PROMPT --input -",
            )
        self.name = "standard input"
        self._descriptor = descriptor
        self._stopped = threading.Event()
        self._has_begun = False

    def read(self, count: int) -> bytes:
        """Some bytes, none at the end.

        Raises:
            TimeoutError: nothing at all has come for ten seconds.
        """
        until = time.monotonic() + OPEN_SECONDS
        while not self._stopped.is_set():
            if self._is_ready():
                self._has_begun = True
                return os.read(self._descriptor, count)
            if not self._has_begun and time.monotonic() > until:
                raise TimeoutError
        return b""

    def stop(self) -> None:
        """Have whoever reads find the end."""
        self._stopped.set()

    def _is_ready(self) -> bool:
        if sys.platform == "win32":  # which selects among sockets only
            return True
        return bool(select.select([self._descriptor], [], [], 0.1)[0])


def _is_known(name: str) -> bool:
    import av

    return any(name in one.split(",") for one in av.formats_available)
