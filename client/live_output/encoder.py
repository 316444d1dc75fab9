"""A process that encodes pictures and sends them: `python -m framewire.client.live_output.encoder`.

It has one of its own since FFmpeg, which opens and writes to what may never answer, holds up every
thread of a Python program meanwhile. It reads msgpack from standard input: first where to send and
how, then pictures with their numbers and the sound beside each. It answers each with an empty
line, and says in a line what went wrong. Where standard input ends it finishes what it sends.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import msgpack

from framewire.client.errors import FramewireError, in_words
from framewire.client.frames import Frame
from framewire.client.live_input.sources.naming import UNTRUSTED
from framewire.client.live_input.sources.sound import SOUND_LAYOUT, SOUND_RATE
from framewire.client.savers.decoding import JpegDecoder, rate_of
from framewire.client.savers.video import as_bt709, tag_as_bt709
from framewire.client.sound import SAMPLE_BYTES, audio_frame

from .target import TEE

_MOST_BYTES = 64_000_000


class Encoder:
    """H.264, and AAC, into one of FFmpeg's formats. All of it blocks.

    Args:
        place, format, options: see `Target`.
        fps: pictures a second.
        has_sound: whether there is a track of sound.
    """

    def __init__(
        self, *, place: str, format: str, options: dict[str, str], fps: float, has_sound: bool
    ) -> None:
        import av

        self._av = av
        self._rate = rate_of(fps)
        self._decoder = JpegDecoder(av)
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._container = av.open(place, "w", format=format, options=options)
        second = max(1, round(float(self._rate)))
        coding = {"preset": "veryfast", "tune": "zerolatency", "g": str(2 * second), "crf": "20"}
        coding |= {"sc_threshold": "0", "bf": "0"}
        self._video: Any = self._container.add_stream("libx264", rate=self._rate, options=coding)
        self._sound: Any = None
        if has_sound:
            self._sound = self._container.add_stream("aac", rate=SOUND_RATE)
            self._sound.layout = SOUND_LAYOUT
        if format == TEE:  # which does not say what the format behind it needs
            for track in (self._video, self._sound):
                if track is not None:
                    track.codec_context.flags |= av.codec.context.Flags.global_header
        self._heard = 0  # samples
        self._size: tuple[int, int] | None = None
        self._last: Any = None

    def show(self, number: int, jpeg: bytes | None, sound: bytes) -> None:
        """Send a picture as that of tick `number`; None: the last one again.

        Args:
            sound: beside it.
        """
        if jpeg is not None:
            shown = self._decoder.decode(Frame(number, None, jpeg, 0.0))
            if self._size is None:
                self._size = (shown.width - shown.width % 2, shown.height - shown.height % 2)
                self._video.width, self._video.height = self._size
                self._video.pix_fmt = "yuv420p"
                tag_as_bt709(self._video.codec_context)
            self._last = as_bt709(self._av, self._reformatter, shown, *self._size)
        self._last.pts, self._last.time_base = number, 1 / self._rate
        self._last.pict_type = 0  # the encoder's choice, whatever the picture was before
        self._container.mux(self._video.encode(self._last))
        if self._sound is not None:
            self._play(number, sound)

    def _play(self, number: int, sound: bytes) -> None:
        """Beside ticks that were left out it is silent, as they hold no picture."""
        begins = round(number * SOUND_RATE / self._rate)
        while self._heard < begins:
            self._put(bytes(min(begins - self._heard, SOUND_RATE) * SAMPLE_BYTES))
        self._put(sound)

    def _put(self, sound: bytes) -> None:
        self._container.mux(self._sound.encode(audio_frame(sound, self._heard)))
        self._heard += len(sound) // SAMPLE_BYTES

    def close(self) -> None:
        """Send what the encoder holds, and the end."""
        if self._size is not None:
            for track in (self._video, self._sound):
                if track is not None:
                    self._container.mux(track.encode(None))
        self._container.close()


def main() -> int:
    """Serve standard input to its end; returns the exit code."""
    unbuffered = io.FileIO(0, closefd=False)
    unpacker = msgpack.Unpacker(unbuffered, max_buffer_size=_MOST_BYTES)
    try:
        said = unpacker.unpack()
        encoder = Encoder(**said)
        for number, jpeg, sound in unpacker:
            encoder.show(number, jpeg, sound)
            os.write(1, b"\n")
        encoder.close()
    except FramewireError as error:
        return _fail(error.reason)
    except (OSError, ValueError) as error:  # FFmpeg's are one or the other, and name the URL
        is_failed_handshake = getattr(error, "errno", None) == errno.EIO and said["format"] == TEE
        return _fail(in_words(error) + f"; {UNTRUSTED}" * is_failed_handshake)
    return 0


def _fail(reason: str) -> int:
    os.write(1, reason.replace("\n", " ").encode() + b"\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
