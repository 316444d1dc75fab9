"""A source that does not wait: a thread reads it, and the newest picture is handed out.

Bounded: one picture and half a minute of sound. A source that goes away is opened again, for five
minutes; the stream goes on meanwhile with what it has.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, Self

from framewire.client.errors import InputError
from framewire.client.live_input.as_shown import AsShown
from framewire.client.live_input.pictures import Size, Unusable, encoded

from .clock import Clock, Rate
from .framing import AS_IT_IS, Framing
from .naming import Named
from .opened import OPEN_SECONDS, Pipe, opened, why
from .reading import Heard, Seen, read
from .sound import SoundBuffer, SoundPiece

logger = logging.getLogger(__name__)

MOST_FPS = 30.0
"""Pictures a second that are handed out where no other rate is asked for."""
GIVE_UP_AFTER = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class LiveSource:
    """A source that is open, and has given a picture. `open_source` makes it.

    Attributes:
        name: free of secrets.
        policy: the stream's `input`.
        fps: pictures a second, as far as it tells; at most the rate that was asked for.
        size: width and height of its pictures, what is cut off left out.
        total, path: it has none.
        notes: what of it is dropped or changed, in words.
        has_sound: whether `sound()` gives any.
        seen: pictures that came.
        at, sound_at: when the picture that was handed out last had come, and when it is by the clock
            of the sound; both by `time.monotonic()`.
        on_said: told, in another thread, that it went away or came back.

    Raises:
        InputError: it gives no picture.
    """

    policy: Literal["newest"] = "newest"
    total = None
    path = None

    def __init__(
        self,
        source: Named,
        container: Any,
        *,
        framing: Framing = AS_IT_IS,
        fps: float | None = None,
        sound: bool = False,
        pipe: Pipe | None = None,
    ) -> None:
        self.name = source.shown
        self.seen = 0
        self.at: float | None = None
        self.sound_at: float | None = None
        self.on_said: Callable[[str], None] | None = None
        self._source = source
        self._pipe = pipe
        self._framing = framing
        self._rate = Rate(fps or MOST_FPS)
        self._clock = Clock(source.clocked or "hls" in container.format.name)
        self._shown = AsShown(framing.covers(None))
        self._sound = SoundBuffer()
        self._changed = threading.Condition()
        self._newest: tuple[Any, float, float] | None = None
        self._failure: InputError | None = None
        self._is_over = self._is_closed = False
        self._stop = threading.Event()
        self._gone_at: float | None = None
        self._pause = _FIRST_PAUSE
        has_track = bool(container.streams.audio)
        self.has_sound = sound and has_track
        own = container.streams.video[0].average_rate if container.streams.video else None
        self.fps = min(float(own or MOST_FPS), fps or MOST_FPS)
        self._thread = threading.Thread(
            target=self._run, args=(container,), name=f"read {source.kind}", daemon=True
        )
        self._thread.start()
        self.size = self._first()
        self.notes = (*("its sound is left out",) * (has_track and not sound), *self._shown.changes)

    def pictures(self, covers: Size | None = None) -> Iterator[bytes | Unusable]:
        """The newest picture each time, none twice, as a JPEG; waits for one. Blocks.

        Args:
            covers: width and height of the stream, where they are known: pictures are made so.

        Raises:
            InputError: it has been away for too long.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._is_over)
                if self._newest is None:
                    if self._failure is not None:
                        raise self._failure
                    return
                (frame, self.at, self.sound_at), self._newest = self._newest, None
            image = self._framing.applied(frame.to_image(), covers, "cover")
            yield encoded(image, covers)

    def sound(self, since: float = 0.0) -> Iterator[SoundPiece]:
        """Its sound in order, from that of the last half minute on, until it ends. Blocks."""
        return (piece for piece in self._sound if piece.at + piece.seconds >= since)

    def close(self) -> None:
        """Stop reading; `pictures` and `sound` end. May be called twice."""
        self._is_closed = True
        self._stop.set()
        if self._pipe is not None:
            self._pipe.stop()
        self._end(None)
        self._thread.join(timeout=1.0)  # a network read returns by itself, within its time-out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first(self) -> Size:
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._is_over, OPEN_SECONDS)
            newest, failure = self._newest, self._failure
        if newest is None:
            self.close()
            raise failure or InputError(
                f"{self.name} is open, but gave no picture within {OPEN_SECONDS:g} s"
            )
        try:
            return self._framing.shape((newest[0].width, newest[0].height), self.name)
        except InputError:
            self.close()
            raise

    def _run(self, container: Any) -> None:
        """The thread."""
        failure: InputError | None = None
        try:
            while container is not None:
                is_playlist = "hls" in container.format.name
                reason = self._read(container)
                if reason is not None and not self.seen:
                    raise InputError(f"{self.name}: {reason}")
                if self._source.ends or (is_playlist and reason is None):
                    break
                container = self._opened_again(reason or "it ended")
        except InputError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (else whoever waits would wait for ever)
            # Its text and traceback may name the URL.
            logger.error("reading %s failed: %s", self.name, type(error).__name__)
            failure = InputError(f"{self.name} cannot be read: {type(error).__name__}")
        self._end(failure)

    def _read(self, container: Any) -> str | None:
        """Read to the end; returns what broke it."""
        try:
            for found in read(container, self._shown, wants=self._wants, with_sound=self.has_sound):
                if self._stop.is_set():
                    break
                self._take(found)
        except InputError as error:
            return error.reason
        except (OSError, ValueError) as error:  # FFmpeg's are one or the other
            return why(error)
        finally:
            with contextlib.suppress(OSError, ValueError):
                container.close()
        return None

    def _wants(self, at: float | None) -> bool:
        self.seen += 1
        return self._rate.takes(at)

    def _take(self, found: Seen | Heard) -> None:
        if isinstance(found, Heard):
            self._sound.put(SoundPiece(found.frame, self._clock.of_sound(found.at)))
            return
        if self._gone_at is not None:
            self._say(f"{self.name} is back after {time.monotonic() - self._gone_at:.1f} s")
            self._gone_at, self._pause = None, _FIRST_PAUSE
        at = self._clock.of_picture(found.at, self._stop)
        heard_at = at if found.at is None else self._clock.of_sound(found.at)
        with self._changed:
            self._newest = found.frame, at, heard_at
            self._changed.notify_all()

    def _opened_again(self, reason: str) -> Any:
        """The next container; None where this was closed meanwhile.

        Raises:
            InputError: it has been away for too long.
        """
        if self._stop.is_set():
            return None
        if self._gone_at is None:
            self._gone_at = time.monotonic()
            self._say(f"{self.name} went away ({reason}); it is opened again")
        while not self._stop.wait(self._pause):
            away = time.monotonic() - self._gone_at
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            try:
                container = opened(self._source)
            except InputError as error:
                reason = error.reason.removeprefix(f"{self.name}: ")
                if away > GIVE_UP_AFTER:
                    raise InputError(
                        f"{self.name} has been away for {away:.0f} s: {reason}"
                    ) from None
                continue
            if away > GIVE_UP_AFTER + OPEN_SECONDS:  # open, but never with a picture
                container.close()
                raise InputError(f"{self.name} has given no picture for {away:.0f} s: {reason}")
            self._clock.restart()
            self._shown = AsShown(self._framing.covers(None))
            return container
        return None

    def _say(self, text: str) -> None:
        logger.info("%s", text)
        if self.on_said is not None and not self._is_closed:
            with contextlib.suppress(RuntimeError):  # an event loop that has just ended
                self.on_said(text)

    def _end(self, failure: InputError | None) -> None:
        with self._changed:
            if not self._is_over:
                self._failure = failure
            self._is_over = True
            if self._is_closed:
                self._newest = None
            self._changed.notify_all()
        self._sound.finish()
