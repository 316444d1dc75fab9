"""From a name to what can be fed: files and folders become clips, the rest live sources."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from .clip import clip_from
from .source import Source
from .sources.framing import Fit, Framing
from .sources.live import LiveSource
from .sources.naming import Named, named
from .sources.opened import Pipe, opened


async def open_source(
    name: str,
    *,
    crop: tuple[int, int, int, int] | None = None,
    fit: Fit | None = None,
    mirror: bool = False,
    fps: float | None = None,
    sound: bool = False,
) -> Source:
    """Open what `framewire stream --input` takes, and wait for its first picture.

    `webcam[:NAME]`, `screen[:DISPLAY][@WxH+X+Y]`, `testsrc`, `-` (standard input), URLs of rtsp,
    rtmp, udp, http and https (MJPEG, HLS, files); else a file or a folder of pictures. Close it.

    Args:
        crop: width, height, left and top of the part that is used, in pixels as shown.
        fit: how that fills the stream, whose size is then to be known; what is live covers it.
        mirror: left and right change sides.
        fps: the most pictures a second (default 30) of what is live; the rate of a clip.
        sound: read its sound as well, for `Source.sound`.

    Raises:
        InputError: there is no such source, or it gives no picture for ten seconds.
    """
    framing = Framing(crop, fit, mirror)
    opening = asyncio.create_task(
        asyncio.to_thread(source_from, name, framing=framing, fps=fps, sound=sound)
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def source_from(
    name: str, *, framing: Framing, fps: float | None = None, sound: bool = False
) -> Source:
    """The same for programs without an event loop. Blocks.

    Raises:
        InputError: as `open_source`.
    """
    found = named(name)
    if found is None:
        return clip_from(name, framing=framing, fps=fps, sound=sound)
    pipe = Pipe() if found.kind == "pipe" else None
    container = _opened(found, pipe)
    if _is_file(found, container):
        container.close()
        return clip_from(found.shown, framing=framing, fps=fps, sound=sound, remote=found)
    return LiveSource(found, container, framing=framing, fps=fps, sound=sound, pipe=pipe)


def _opened(source: Named, pipe: Pipe | None) -> Any:
    """In a thread, for FFmpeg hears no Ctrl-C: so whoever waits does."""
    found: list[Any] = []

    def open_it() -> None:
        try:
            found.append(opened(source, pipe))
        except Exception as error:  # noqa: BLE001 (is raised where it is waited for)
            found.append(error)

    thread = threading.Thread(target=open_it, name=f"open {source.kind}", daemon=True)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _is_file(source: Named, container: object) -> bool:
    """Whether a web server gave something with an end: then every picture of it is used."""
    is_web = source.place.lower().startswith("http")
    return is_web and getattr(container, "duration", None) is not None


def _close(opening: asyncio.Task[Source]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        with contextlib.suppress(OSError):
            opening.result().close()
