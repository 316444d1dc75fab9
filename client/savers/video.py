"""MP4, MOV and Matroska (H.264) and WebM (VP9): yuv420p in BT.709, constant rate. Needs PyAV.

The file is playable whenever the program dies: an MP4 is written in fragments, which closing
turns into an ordinary one (FFmpeg's `hybrid_fragmented`), a WebM in clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame
from framewire.client.live_input.sources.sound import SOUND_RATE
from framewire.client.sound import Sounding, Soundtrack, audio_frame

from .base import Saved
from .decoding import JpegDecoder, load_av, rate_of
from .media_file import MediaFile

BT709 = 1  # ITU-T H.273: primaries, transfer and matrix alike
BT601 = 5  # the matrix of every JPEG (JFIF)
LIMITED, FULL = 1, 2


@dataclass(frozen=True, slots=True)
class _Kind:
    format: str
    codec: str
    encoding: dict[str, str]
    muxing: dict[str, str]
    unseekable: dict[str, str] = field(default_factory=lambda: {"flush_packets": "1"})
    sound_codec: str = "aac"


# A key frame every 48 frames, and with it a fragment or cluster. Of FFmpeg's VP8 and VP9 at equal
# quality (33 dB) the latter is the faster one here: 18 and 77 ms of CPU for a frame of 832x480.
_H264 = {"preset": "veryfast", "crf": "18", "g": "48"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "row-mt": "1", "g": "48"}
_HYBRID = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_CLUSTERS = {"flush_packets": "1"}
_KINDS = {
    ".mp4": _Kind("mp4", "libx264", _H264, _HYBRID, _FRAGMENTS),
    ".webm": _Kind("webm", "libvpx-vp9", _VP9, _CLUSTERS, sound_codec="libopus"),
    ".mov": _Kind("mov", "libx264", _H264, _HYBRID, _FRAGMENTS),
    ".mkv": _Kind("matroska", "libx264", _H264, _CLUSTERS),
}
VIDEO_ENDINGS = tuple(_KINDS)


class VideoSaver:
    """Writes a video. All frames get the size of the first.

    Args:
        path: the file, `.mp4`, `.webm`, `.mov` or `.mkv`; replaced if it is there, once the new
            one is done.
        fps: frames a second; Krea's native rate is 16.
        sound: the source whose sound goes beside the frames (AAC; Opus in WebM) by their `source_at`,
            and lasts as long as they.

    Raises:
        SaveError: no such kind of video, or PyAV is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0, sound: Sounding | None = None) -> None:
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise SaveError(f"{path.name} is no video", hint=f"use {' or '.join(_KINDS)}")
        self.path = path
        self.saved: Saved | None = None
        self._kind = kind
        self._av = load_av(path)
        self._rate = rate_of(fps)
        self._file = MediaFile(path, self._av, kind.format, kind.muxing, unseekable=kind.unseekable)
        self._size: tuple[int, int] | None = None
        self._count = 0
        self._source = sound
        self._sound: Soundtrack | None = None
        self._heard = 0  # samples

    def open(self) -> None:
        self._file.open()
        self._sound = Soundtrack(self._source) if self._source else None
        self._decoder = JpegDecoder(self._av)
        self._reformatter = self._av.video.reformatter.VideoReformatter()

    def write(self, frame: Frame, prompt: str | None) -> None:
        picture = self._decoder.decode(frame)
        if self._size is None:
            self._size = (picture.width - picture.width % 2, picture.height - picture.height % 2)
            codec = self._kind.sound_codec if self._sound else None
            self._file.begin(self._kind.codec, self._rate, self._shape, codec)
        picture = as_bt709(self._av, self._reformatter, picture, *self._size)
        picture.pts = self._count
        picture.time_base = 1 / self._rate
        self._file.add(picture)
        self._count += 1
        if self._sound is not None:
            samples = round(self._count * SOUND_RATE / self._rate) - self._heard
            heard = self._sound.beside(frame.source_at, samples, waits=True)
            self._file.add_sound(audio_frame(heard, self._heard))
            self._heard += samples

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        done = self._file.close(self._count)
        if done is not None:
            frames, size = done
            seconds = float(frames / self._rate)
            notes: tuple[str, ...] = ()
            if self._sound is not None and self._sound.failure is not None:
                notes = (f"its sound could not be read: {self._sound.failure}",)
            self.saved = Saved(self.path, frames, seconds, size, self._file.is_file, notes)
        if self._file.failure is not None:
            raise self._file.failure

    def _shape(self, stream: Any) -> None:
        assert self._size is not None
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.options = self._kind.encoding
        tag_as_bt709(stream.codec_context)


def tag_as_bt709(context: Any) -> None:
    """Have an encoder say that its pictures are in BT.709, of limited range."""
    context.color_range = LIMITED
    context.color_primaries = context.color_trc = context.colorspace = BT709


def as_bt709(av: Any, reformatter: Any, picture: Any, width: int, height: int) -> Any:
    """A JPEG's picture as yuv420p in BT.709, converted with every bit: FFmpeg's fast way is off by
    up to four levels."""
    way = av.video.reformatter.Interpolation
    return reformatter.reformat(
        picture,
        width=width,
        height=height,
        format="yuv420p",
        src_colorspace=BT601,
        src_color_range=FULL,
        dst_colorspace=BT709,
        dst_color_range=LIMITED,
        interpolation=way.BICUBIC | way.ACCURATE_RND | way.FULL_CHR_H_INT | way.FULL_CHR_H_INP,
    )
