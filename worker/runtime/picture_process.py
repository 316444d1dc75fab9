"""A process that decodes one picture: those that would keep a thread for long.

Run as a module by `decoding_process`.
"""

from __future__ import annotations

from .decoding_child import Take, serve
from .pictures import PictureError, decode_picture


def opened(data: bytes) -> Take:
    """What decodes the picture to a size."""
    return lambda width, height: [decode_picture(data, width, height)]


if __name__ == "__main__":
    serve(opened, PictureError)
