"""What `--out` names beside files: network streams, and HLS in a folder. Opens nothing.

Knows FFmpeg's names for them, and what of a URL may be shown: of RTMP's the last part of the path is
a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from framewire.client.errors import InputError, SaveError, in_words
from framewire.client.live_input.sources.naming import authorities, refuse_half_url, shown
from framewire.client.savers.pipes.saver import name_of, refuse_terminal

KINDS = "rtmp://, rtmps://, udp://host:port and DIR/index.m3u8"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
TEE = "tee"
"""FFmpeg's format that sends what it is given on."""
_SEGMENT_SECONDS = 2
_END = "#EXT-X-ENDLIST"
_ELSEWHERE = "name another folder"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a live sink sends.

    Attributes:
        shown: its name, free of secrets.
        place: FFmpeg's name of it, which may hold a password or a key.
        format: FFmpeg's format; of a pipe, a form of `savers.pipes`.
        options: of the format.
        folder: of HLS.
        descriptor: of a pipe.
    """

    kind: Literal["rtmp", "udp", "hls", "pipe"]
    shown: str
    place: str = field(repr=False)
    format: str
    options: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    descriptor: int | None = None

    def cleared(self) -> Target:
        """Itself, made ready for a run: the folder is there, without the list and segments of another.

        Raises:
            OSError: it cannot be made.
        """
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            listed = self._listed()
            for old in self.segments():
                if old.name in listed:
                    old.unlink()
            Path(self.place).unlink(missing_ok=True)  # else whoever looks now is sent to those
        return self

    def segments(self) -> list[Path]:
        """The files that are named like a segment of it."""
        if self.folder is None or not self.folder.is_dir():
            return []
        name = re.compile(rf"{re.escape(Path(self.place).stem)}_\d{{5,}}\.ts")
        return sorted(path for path in self.folder.iterdir() if name.fullmatch(path.name))

    def ended(self) -> None:
        """Tell whoever plays the list that no more comes, where that was not done: its encoder was
        away at the end.

        Raises:
            OSError: it cannot be written.
        """
        if self.folder is None or not (place := Path(self.place)).is_file():
            return
        if _END not in place.read_text(encoding="utf-8", errors="replace"):
            with place.open("a", encoding="utf-8") as list_:
                list_.write(f"{_END}\n")

    def refuse_to_destroy(self, inputs: Iterable[tuple[str, Path]]) -> None:
        """Check that a run replaces no file that is read, and none but those of an earlier run.

        Args:
            inputs: what is read, and what it is called.

        Raises:
            SaveError: it would.
        """
        if self.folder is None:
            return
        mine = [Path(self.place), *self.segments()]
        for name, path in inputs:
            if any(path.exists() and one.exists() and one.samefile(path) for one in mine):
                raise SaveError(f"--out {self.shown} would replace {name}", hint=_ELSEWHERE)
        listed = self._listed()
        for path in self.segments():
            if path.name not in listed:
                raise SaveError(
                    f"--out {self.shown} would replace {path.name}, which is of no earlier run",
                    hint=_ELSEWHERE,
                )

    def _listed(self) -> set[str]:
        """The files that the list of an earlier run names."""
        try:
            lines = Path(self.place).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return set()
        return {Path(line).name for line in lines if line and not line.startswith("#")}

    def again(self) -> Target:
        """For another opening in the same run, which keeps the segments that are there."""
        if self.kind != "hls":
            return self
        flags = f"{self.options['hls_flags']}+append_list"
        return replace(self, options=self.options | {"hls_flags": flags})


def target_of(text: str) -> Target | None:
    """What `text` names, if it is a live sink; None for the name of a file or folder.

    Raises:
        SaveError: a URL that nothing is sent to, or half of one; says what would be right.
    """
    try:
        refuse_half_url(text)
    except InputError as error:
        raise SaveError(error.reason, hint=error.hint) from None
    if found := _URL.match(text):
        return _network(text, found[1].lower())
    if text.lower().endswith(".m3u8"):
        return _hls(text)
    return None


def pipe_target(name: str, descriptor: int, form: str) -> Target:
    """What is open already, and read by another program.

    Args:
        name: as `--out` has it.
        form: of the frames.

    Raises:
        SaveError: it is a terminal.
    """
    path = Path(name)
    refuse_terminal(descriptor, path)
    return Target("pipe", name_of(path), f"fd:{descriptor}", form, descriptor=descriptor)


def _network(url: str, scheme: str) -> Target:
    seen = shown(url)
    if scheme not in ("rtmp", "rtmps", "udp"):
        raise SaveError(f"{seen}: {scheme}:// is no sink that is known here", hint=f"use {KINDS}")
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
        is_whole = is_whole and (scheme != "udp" or parts.port is not None)
    except ValueError:
        is_whole = False
    if not is_whole or any(ord(letter) < 33 for letter in url):
        right = "udp://host:port" if scheme == "udp" else "rtmp://host/app/key"
        raise SaveError(f"{seen} is no URL to send to", hint=f"like {right}")
    if scheme == "udp":
        if "pkt_size=" not in url:
            url += f"{'&' if '?' in url else '?'}pkt_size=1316"  # seven packets of MPEG-TS
        return Target("udp", seen, url, "mpegts", {"flush_packets": "1"})
    options = {"flvflags": "no_duration_filesize"}
    if scheme == "rtmps":
        return Target("rtmp", seen, _verified(url, {"f": "flv", **options}), TEE)
    return Target("rtmp", seen, url, "flv", options)


def _verified(url: str, options: dict[str, str]) -> str:
    """What FFmpeg's `tee` sends to, by which a certificate is verified: PyAV gives options to a format
    and none to what it opens for it, and FFmpeg by itself trusts whoever answers."""
    options = options | {"tls_verify": "1", "ca_file": authorities()}
    said = ":".join(f"{name}={_escaped(value, ':]')}" for name, value in options.items())
    return _escaped(f"[{said}]{url}", "|")


def _escaped(text: str, marks: str) -> str:
    """For FFmpeg's `av_get_token`, which ends at one of `marks`."""
    return re.sub(rf"([\\'{re.escape(marks)}])", r"\\\1", text)


def _hls(text: str) -> Target:
    path = Path(text).absolute()
    try:
        path.exists()
    except OSError as error:  # of a name that no folder takes
        raise SaveError(f"{text}: {in_words(error)}") from None
    segments = str(path.with_suffix("")).replace("%", "%%")
    options = {
        "hls_time": str(_SEGMENT_SECONDS),
        "hls_list_size": "0",
        "hls_playlist_type": "event",
        "hls_flags": "independent_segments+temp_file",
        "hls_segment_filename": f"{segments}_%05d.ts",
    }
    return Target("hls", text, str(path), "hls", options, path.parent)
