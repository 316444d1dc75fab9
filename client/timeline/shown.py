"""Which prompt frames show, and the frame that shows a change first. Counts blocks of one stream.

A planned change has its block from the start; one by hand has it once the worker tells, or, of a
server that tells nothing, the next one. Knows neither session nor file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from framewire.client.options import steer_from
from framewire.protocol import Steered

_NO_CHANGE = ("num_blocks",)


@dataclass(eq=False)
class Change:
    """A change of what is shown.

    Attributes:
        when: as it was asked for.
        text: the prompt from there on; None where that stays.
        at_block: of its stream, the one that it is for; None where it is sent and no more.
        block: the one that it took effect at; None where the worker has not told.
        after_frames: so many had come when it was sent.
        keys: of the wire, that it changes.
        sent_at: by the monotonic clock, where it was made by hand.
        shown_at: when the first frame came that shows it.
        is_replaced: a later one took its place before it was shown.
    """

    when: str
    text: str | None
    at_block: int | None
    after_frames: int
    block: int | None = None
    keys: frozenset[str] = field(default_factory=frozenset)
    sent_at: float | None = None
    shown_at: float | None = None
    is_replaced: bool = False

    @property
    def seconds(self) -> float | None:
        """From when it was made by hand to the first frame that shows it."""
        if self.sent_at is None or self.shown_at is None:
            return None
        return self.shown_at - self.sent_at


class Shown:
    """Told of changes, of the worker's word on them, and of frames.

    Args:
        on_shown: told of each change with the first frame that shows it.

    Attributes:
        text: the prompt that the newest frame shows.
        asked: the prompt that was asked for last, whether or not a frame shows it.
    """

    def __init__(self, text: str, on_shown: Callable[[Change], None] | None = None) -> None:
        self.text = self.asked = text
        self._on_shown = on_shown or (lambda change: None)
        self._untold: list[Change] = []  # whose block the worker has not told
        self._waiting: list[tuple[int, Change]] = []  # by the block that shows them
        self._resets: list[Change] = []
        self._before_reset: list[Change] = []  # by hand, in force once it starts over
        self._text_after_reset = text
        self._has_begun_again = False

    @property
    def is_planned(self) -> bool:
        """Whether a change is still to come at a block of its own."""
        return any(change.at_block is not None for _, change in self._waiting)

    @property
    def is_reset(self) -> bool:
        """Whether the stream was asked to start over, and no frame has come since that did."""
        return bool(self._resets)

    @property
    def has_begun_again(self) -> bool:
        """Whether the worker has said that it does."""
        return self._has_begun_again

    def begin(self, text: str) -> None:
        """A stream is asked for."""
        self.text = self.asked = text
        self._untold, self._waiting, self._resets, self._before_reset = [], [], [], []
        self._has_begun_again = False

    def expect(self, change: Change, block: int | None) -> None:
        """A change is sent or held.

        Args:
            block: that shows it, as far as that is known; else the worker will tell.
        """
        self._untold.append(change)
        if change.at_block is None:
            self.asked = self.asked if change.text is None else change.text
        if block is not None:
            self._wait(change, block)

    def expect_reset(self, change: Change) -> None:
        """The stream is asked to start over, with all that was asked for by hand by then."""
        self._resets.append(change)
        self.asked = self.asked if change.text is None else change.text
        self._text_after_reset = self.asked
        self._carry()
        self._has_begun_again = False

    def told(self, event: Steered) -> None:
        """The worker says what took effect."""
        if event.applied == _NO_CHANGE:
            return
        found = [change for change in self._untold if _is_meant(change, event)]
        self._untold = [change for change in self._untold if change not in found]
        if self._has_begun_again:
            self._before_reset = [one for one in self._before_reset if one not in found]
        newest: dict[str, Change] = {key: change for change in found for key in change.keys}
        for change in found:
            change.block = event.block
            if change.at_block is None and change not in newest.values():
                change.is_replaced = True
            else:
                self._wait(change, event.block)

    def go_on(self, block: int) -> None:
        """Another connection goes on with the stream: what was asked for is in force on it.

        Args:
            block: that its first frame is in.
        """
        for change in self._untold:
            if change.at_block is None:
                self._wait(change, block)
        self._untold = [change for change in self._untold if change.at_block is not None]

    def begin_again(self, text: str | None) -> None:
        """The worker says that the stream starts over: with all that it had heard of by then.

        Args:
            text: the prompt that it starts with, if that is known.
        """
        self._has_begun_again = True
        self._text_after_reset = self.asked if text is None else text
        # What was asked for behind the reset may be told of yet, and is then of a later block.
        self._untold = [one for one in self._untold if one not in self._before_reset]
        self._carry()

    def start_over(self, at: float) -> None:
        """The first frame after a reset has come; what was asked for behind that is still to come."""
        newest = {key: change for change in self._before_reset for key in change.keys}
        for change in self._before_reset:
            change.is_replaced = change not in newest.values()
            if not change.is_replaced and change.shown_at is None:
                change.block = 0
                self._show(change, at)
        for change in self._resets:
            self._show(change, at)
        before, asked = self._before_reset, self.asked
        untold = [one for one in self._untold if _is_later(one, before)]
        waiting = [(block, one) for block, one in self._waiting if _is_later(one, before)]
        self.begin(self._text_after_reset if self._resets else asked)
        self.asked, self._untold, self._waiting = asked, untold, waiting

    def saw(self, block: int, at: float) -> None:
        """A frame of `block` has come."""
        while self._waiting and self._waiting[0][0] <= block:
            _, change = self._waiting.pop(0)
            if change.text is not None:
                self.text = change.text
                self.asked = change.text if change.at_block is not None else self.asked
            self._show(change, at)

    def _carry(self) -> None:
        """What was asked for by hand so far is to be in force once it starts over."""
        carried = self._before_reset
        carried += [c for c in self._pending() if c.at_block is None and c not in carried]

    def _pending(self) -> list[Change]:
        """What was asked for and no frame shows yet, in order."""
        untold = [change for change in self._untold if change.shown_at is None]
        waiting = [change for _, change in self._waiting if change not in untold]
        return [*waiting, *untold]

    def _show(self, change: Change, at: float) -> None:
        change.shown_at = at
        self._on_shown(change)

    def _wait(self, change: Change, block: int) -> None:
        self._waiting = [one for one in self._waiting if one[1] is not change]
        self._waiting.append((block, change))
        self._waiting.sort(key=lambda one: one[0])


def text_of(values: Mapping[str, Any]) -> str | None:
    """The prompt of a map, of a blend the texts with their shares; None where it says none."""
    said = {key: values[key] for key in ("prompt", "prompts", "blend") if key in values}
    shown = steer_from(**said).shown
    return None if shown is None else str(shown)


def _is_later(change: Change, before: list[Change]) -> bool:
    """Whether it was made by hand behind a reset, before which others were, and is not shown yet."""
    return change.at_block is None and change.shown_at is None and change not in before


def _is_meant(change: Change, event: Steered) -> bool:
    if change.at_block is not None:
        return change.at_block <= event.block
    return bool(change.keys & set(event.applied))
