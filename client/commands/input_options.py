"""What `--input` and `--start-frame` ask for, once the files themselves were looked at.

Decides the rate, the size and the pictures of a stream that the command line leaves open, and says
what of it was changed. Parsing is `cli`'s.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from framewire.client.address import is_kreas_own
from framewire.client.errors import InputError
from framewire.client.live_input.clip import clip_from
from framewire.client.live_input.pictures import fitted
from framewire.client.live_input.shape import LANDSCAPE, stream_size

KREA_FPS = 16.0


def look_at_input(options: argparse.Namespace) -> list[str]:
    """Put `clip`, `fps`, `size`, `covers` and `start_picture` into the options. Blocks.

    Returns:
        What was dropped, changed or chosen, a line each.

    Raises:
        InputError: no such clip or camera, or a picture that cannot be used.
    """
    said = []
    options.clip = clip = clip_from(options.input) if options.input else None
    if options.fps is None:
        options.fps = (clip and clip.fps) or KREA_FPS
    if clip is not None and clip.notes:
        said.append(f"{clip.name}: {'; '.join(clip.notes)}")
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


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
