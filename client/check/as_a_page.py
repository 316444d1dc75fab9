"""One exchange as a web page has it: its frames are drawn at a steady pace, the others wait.

What a browser receives waits in the page's memory until it is drawn, so a worker that sends more
than that makes the page lag. What this proves is the rule's business.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from framewire.protocol import RemoteProtocolError, unpack_map

from .probe import Probe
from .raw_socket import RawSocket, is_answer, is_end
from .streams import OTHER_PROMPT, in_the_second_block

FPS = 16.0
WITHIN = 2
"""Blocks, from the one that is drawn when a prompt changes to the first that shows it."""
_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class DrawnFrame:
    """What a frame's map says of it."""

    block: int
    prompt_version: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn, in order, before a prompt changed and after, until it shows or should."""

    before: list[DrawnFrame]
    after: list[DrawnFrame]


async def drawn(probe: Probe) -> Drawn:
    """A stream of maps without events or fps, whose prompt changes in its second block."""
    parts = urlsplit(probe.address.url)
    origin = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc.rpartition('@')[2]}"
    async with probe.ready(query={"fmt": "msgpack"}, origin=origin) as socket:
        await socket.say(probe.params(num_blocks=_BLOCKS))
        page = _Page(probe, socket)
        before: list[DrawnFrame] = []
        while len(before) < in_the_second_block(probe) and (frame := await page.draw()) is not None:
            before.append(frame)
        await socket.say({"prompt": OTHER_PROMPT, "interp_steps": 1})
        last = before[-1].block + WITHIN if before else -1
        after = []
        while (frame := await page.draw()) is not None:
            after.append(frame)
            if frame.prompt_version > 1 or frame.block > last:
                break
    return Drawn(before, after)


class _Page:
    """Draws a frame when it is due, or when it comes, if that is later."""

    def __init__(self, probe: Probe, socket: RawSocket) -> None:
        self._timing = probe.timing
        self._socket = socket
        self._first_at: float | None = None
        self._drawn = 0

    async def draw(self) -> DrawnFrame | None:
        """The next frame; None where the stream is over, or its frames do not say what they are."""
        now = asyncio.get_running_loop().time()
        if self._first_at is not None:
            await asyncio.sleep(self._first_at + self._drawn / FPS - now)
        seconds = self._timing.first if self._first_at is None else self._timing.between
        seen = await self._socket.until(is_answer, seconds)
        if not seen.frames or any(is_end(message) for message in seen.messages):
            return None
        if self._first_at is None:
            self._first_at = asyncio.get_running_loop().time()
        self._drawn += 1
        try:
            values = unpack_map(seen.frames[-1])
        except RemoteProtocolError:
            return None
        block, version = values.get("block"), values.get("prompt_version")
        if not isinstance(block, int) or not isinstance(version, int):
            return None
        return DrawnFrame(block, version)
