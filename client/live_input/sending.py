"""Pictures on their way into a session: large ones are scaled down off the event loop.

What cannot be scaled (no Pillow, no picture) goes as it is, and a warning in the log says its size:
gateways were seen to drop connections on large messages, without a word.
"""

from __future__ import annotations

import asyncio
import logging

from framewire.client.errors import InputError

from .pictures import Size, fitted, is_large

logger = logging.getLogger(__name__)


async def sendable(picture: bytes, name: str, covers: Size | None) -> bytes:
    """`picture`, scaled down if it has more than 2048 pixels a side or 2 MB.

    Args:
        name: to speak of it.
        covers: width and height that the stream is known to have.
    """
    if not is_large(picture):
        return picture
    try:
        found = await asyncio.to_thread(fitted, picture, name, covers)
    except InputError as error:
        logger.warning("%s of %.1f MB is sent as it is: %s", name, len(picture) / 1e6, error)
        return picture
    if found.note:
        level = logging.WARNING if found.data is picture else logging.INFO
        logger.log(level, "%s", found.note)
    return found.data
