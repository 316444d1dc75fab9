"""Prompts that are said while a block is made, on their way in between two of its passes.

The session puts them, the lane takes the newest. What no pass has asked for in time is left for the
next block.
"""

from __future__ import annotations

from collections import deque

from framewire.protocol import Steered
from framewire.worker.backends.base import Change


class MidBlock:
    """Those of one block.

    Attributes:
        said: what the viewer is to be told of them, in order; the block is known in the end.
        version: of the prompt in the block's last pass.
    """

    def __init__(self, version: int) -> None:
        self.said: list[Steered] = []
        self.version = version
        self._newest: deque[tuple[int, Change]] = deque(maxlen=1)

    def put(self, change: Change, version: int) -> None:
        """Offer what makes `version` the prompt, in place of what was not taken."""
        self._newest.append((version, change))

    def take(self) -> Change | None:
        """The newest, once; on the lane."""
        try:
            self.version, change = self._newest.pop()
        except IndexError:
            return None
        return change

    def told(self, block: int) -> list[Steered]:
        """What is to be said once `block` is made: taken by then, or left for the next one."""
        return [
            one.model_copy(update={"block": block + (one.prompt_version > self.version)})
            for one in self.said
        ]
