"""The end of an MP4 whose writing failed: half a fragment, which strict players stumble over.

Knows MP4's outermost boxes (ISO/IEC 14496-12, section 4.2) and nothing of what is in them.
"""

from __future__ import annotations

import os
from pathlib import Path

_HEAD = 8


def cut_broken_end(path: Path) -> None:
    """Cut a fragmented MP4 after its last whole fragment; leave it as it is if there is none.

    Raises:
        OSError: it cannot be read or cut.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        at = whole = 0
        while at + _HEAD <= size:
            file.seek(at)
            head = file.read(_HEAD)
            length = int.from_bytes(head[:4])
            at += length
            if length < _HEAD or at > size:
                break
            if head[4:] == b"mdat":
                whole = at
        if whole:
            file.truncate(whole)
