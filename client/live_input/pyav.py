"""PyAV, loaded when something is read, so that clients without it are told what to install."""

from __future__ import annotations

from typing import Any

from framewire.client.errors import InputError

from .pictures import VIDEO_EXTRA


def load_av(name: str) -> Any:
    """The `av` module, Pillow being there too.

    Args:
        name: of what is to be read.

    Raises:
        InputError: one of them is not installed; says what it is needed for.
    """
    try:
        import av
        import PIL  # noqa: F401
    except ImportError:
        raise InputError(f"reading {name} needs PyAV and Pillow", hint=VIDEO_EXTRA) from None
    return av
