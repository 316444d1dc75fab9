"""`--input` and what belongs to it, and what it and `--start-frame` ask for once they were looked at.

Decides the rate, the size and the pictures of a stream that the command line leaves open, and says
what of it was changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from framewire.client.address import is_kreas_own
from framewire.client.errors import InputError
from framewire.client.live_input import Source
from framewire.client.live_input.opening import source_from
from framewire.client.live_input.pictures import fitted
from framewire.client.live_input.shape import LANDSCAPE, stream_size
from framewire.client.live_input.sources.framing import FITS, Framing, parse_crop
from framewire.client.live_input.sources.naming import named, shown
from framewire.client.live_output.target import target_of
from framewire.client.savers.video import VIDEO_ENDINGS

KREA_FPS = 16.0
_FEWER = 0.9
"""Of a video's rate, below which what is live is too slow for it."""
_SAME = 0.001
"""Of a rate, by which another may differ from it and be the same."""


def look_at_input(options: argparse.Namespace) -> list[str]:
    """Put `clip`, `fps`, `size`, `covers` and `start_picture` into the options. Blocks.

    Returns:
        What was dropped, changed or chosen, a line each.

    Raises:
        InputError: no such clip or camera, or a picture that cannot be used.
    """
    said = []
    options.clip = clip = _source(options)
    if options.fps is None:
        options.fps = (clip and clip.fps) or KREA_FPS
    if clip is not None and clip.notes:
        said.append(f"{clip.name}: {'; '.join(clip.notes)}")
    options.sound = None
    if clip is not None and clip.has_sound:
        said += _look_at_sound(options, clip)
    is_kreas = is_kreas_own(options.url or "")  # which fails at any size but its own
    if clip is not None and clip.size and not options.size and not is_kreas:
        options.size = stream_size(clip.size)
        size, shape = ("{}x{}".format(*one) for one in (options.size, clip.size))
        said.append(
            f"the stream is {size}, after the shape of {clip.name}, {shape} (or say --size)"
        )
    options.covers = options.size or (LANDSCAPE if is_kreas else None)
    options.start_picture = None
    if options.start_frame:
        data = _read(options.start_frame)
        start = fitted(data, options.start_frame, options.covers)
        options.start_picture = start.data
        if start.data is not data and start.note:  # else the session tells of it
            said.append(start.note)
    return said


def _look_at_sound(options: argparse.Namespace, clip: Source) -> list[str]:
    """Put what gives the sound into the options, where it fits the frames."""
    is_clip = clip.policy == "all"
    if is_clip and (clip.fps is None or abs(clip.fps - options.fps) > _SAME * options.fps):
        fps = f"{options.fps:g}"
        why = f"for --fps {fps} plays it at another speed (say --input-fps {fps})"
        return [f"{clip.name}: its sound is left out, {why}"]
    options.sound = clip
    said = []
    mute = [shown(name) for name in options.out if not _holds_sound(name)]
    if mute:
        said.append(f"{clip.name}: its sound does not go into {', '.join(mute)}")
    videos = [shown(name) for name in options.out if name.lower().endswith(VIDEO_ENDINGS)]
    if videos and not is_clip and clip.fps is not None and clip.fps < _FEWER * options.fps:
        said.append(
            f"{clip.name}: its {clip.fps:.3g} pictures a second are shown faster in "
            f"{', '.join(videos)}, without parts of its sound (say --fps {clip.fps:.3g})"
        )
    return said


def _holds_sound(name: str) -> bool:
    return name.lower().endswith(VIDEO_ENDINGS) or target_of(name) is not None


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """What goes into `framewire stream`."""
    parser.add_argument(
        "--input",
        metavar="CLIP|DIR|SOURCE",
        help="make the video from this (needs framewire[video]): a video, frame by frame, or a "
        "folder of pictures; or live, of what comes the newest: webcam[:NAME], "
        "screen[:DISPLAY][@WxH+X+Y], testsrc, - (a pipe), or a URL of rtsp, rtmp, udp, http or "
        "https (a file called webcam is ./webcam)",
    )
    parser.add_argument(
        "--input-fps",
        type=_rate,
        metavar="N",
        help="the most pictures a second of what is live (default: the video's, see --fps); a clip is "
        "brought to it",
    )
    parser.add_argument(
        "--crop", type=_crop, metavar="WxH+X+Y", help="use this part of the input's pictures"
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        help="how pictures of another shape fill the stream: cover it and lose what is beyond (the "
        "default), contain all between black bars, or stretch",
    )
    parser.add_argument("--mirror", action="store_true", help="left and right change sides")
    parser.add_argument(
        "--audio",
        choices=("pass", "drop"),
        help="the input's sound: pass it, in place with the pictures, into videos, RTMP, UDP and HLS "
        "(the default where there is any; AAC, Opus in WebM), or drop it",
    )
    parser.add_argument(
        "--strength",
        type=float,
        metavar="X",
        help="how far frames may leave the input, 0 to 1 (default: the model's)",
    )


def _source(options: argparse.Namespace) -> Source | None:
    if options.input is None:
        given = {"--input-fps": options.input_fps, "--crop": options.crop, "--fit": options.fit}
        given |= {"--mirror": options.mirror, "--audio": options.audio}
        for name, value in given.items():
            if value:
                raise InputError(f"{name} is of the input, and there is none", hint="say --input")
        return None
    framing = Framing(options.crop, options.fit, options.mirror)
    fps = options.input_fps
    if fps is None and named(options.input) is not None:
        fps = options.fps or KREA_FPS  # so that a file of that rate shows it in real time
    # Typed, /record may ask for it at any time.
    holds_sound = options.typed is not None or any(_holds_sound(name) for name in options.out)
    sound = options.audio != "drop" and holds_sound
    return source_from(options.input, framing=framing, fps=fps, sound=sound)


def _crop(text: str) -> tuple[int, int, int, int]:
    try:
        return parse_crop(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 240:
        raise argparse.ArgumentTypeError(f"{text!r}: more than 0, at most 240")
    return rate


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
