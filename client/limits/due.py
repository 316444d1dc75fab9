"""How many frames a stream may have at most, so that a server that never stops is not saved for ever.

Exact where block events show how many frames the blocks have; elsewhere four times the hosted
model's shape, and some more, so that no odd model is cut off.
"""

from __future__ import annotations

from framewire.client.errors import ServerError
from framewire.protocol import BlockDone, Params, Steer
from framewire.protocol.limits import DEFAULT_BLOCKS

_FRAMES_A_BLOCK = 12
_SLACK = 4
_MORE = 500


class FramesDue:
    """Counts the frames of one stream after the other against what was asked for."""

    def __init__(self) -> None:
        self._blocks = DEFAULT_BLOCKS
        self._frames = 0
        self._first = self._later = 0  # frames of the first block, and of later ones
        self._steered = False
        self._is_taken_over = False
        self._pictures = self._before_pictures = 0  # sent; frames that came before the first
        self._generous = self._most = 0
        self._count_anew()

    def start(self, params: Params) -> None:
        """A stream was asked for; a length that is left out stays what it was."""
        self._blocks = params.num_blocks or self._blocks
        self._frames = self._first = self._later = 0
        self._steered = self._is_taken_over = False
        self._pictures = 0
        self._count_anew()

    def steer(self, steer: Steer) -> None:
        """A map was sent: another length, or a reset, counts anew from here on.

        Where no more input comes, the frames of the pictures that were sent are the last ones.
        """
        if steer.image is not None:
            self._before_pictures = self._before_pictures if self._pictures else self._frames
            self._pictures += 1
        if steer.num_blocks is not None:
            asked = steer.num_blocks
            self._blocks = asked if steer.at_block is None else max(asked, self._blocks)
        if steer.num_blocks is not None or steer.action == "reset":
            self._steered = True  # blocks under way still come, of the stream as it was
            self._count_anew()
        elif steer.action == "end" and steer.at_block is None:
            left = max(0, self._pictures - (self._frames - self._before_pictures))
            self._generous = min(self._generous, self._frames + _SLACK * left + _MORE)
            self._most = min(self._most, self._generous)

    def taken_over(self) -> None:
        """Another connection goes on with the stream: its first block may be a short one."""
        self._is_taken_over = True

    def learn(self, done: BlockDone) -> None:
        """The frames of a block are known, and with them how many all blocks have."""
        if done.block == 0:
            self._first = done.frames
        elif not self._is_taken_over:
            self._later = max(self._later, done.frames)
        self._is_taken_over = False
        if self._later and not self._steered:
            whole = max(self._first, self._later) + self._later * (self._blocks - 1)
            self._most = min(self._generous, whole)

    def take(self) -> None:
        """One frame more.

        Raises:
            ServerError: it is more than were asked for.
        """
        self._frames += 1
        if self._frames > self._most:
            raise ServerError(
                f"the server goes on sending: {self._frames} frames came, at most {self._most} "
                "were due",
                code="TOO_MANY_FRAMES",
                hint="what came is kept; is it a worker that keeps to num_blocks?",
            )

    def _count_anew(self) -> None:
        self._most = self._generous = self._frames + _SLACK * _FRAMES_A_BLOCK * self._blocks + _MORE
