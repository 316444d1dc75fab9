"""Whether every frame came: those in envelopes tell their index, so that a gap shows.

A frame that came damaged is one that did not come. Bare JPEGs tell nothing, and are not judged.
"""

from __future__ import annotations

from framewire.client.errors import ConnectionLost
from framewire.protocol import BlockDone, Completed, Frame, FromWorker, Params, Started, Steer


class FrameOrder:
    """The frames of one connection.

    Args:
        name: of the other side, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked = False  # for envelopes: what is binary and cannot be read was one
        self._came = False  # an envelope; from then on each binary message is one
        self._due = 0  # index of the next
        self._from_0 = False  # the stream's first index is known to be that
        self._told = 0  # how many frames the stream has, by the latest block
        self._resets = 0  # sent, their streams not seen yet

    def sent(self, message: Params | Steer) -> None:
        """A new stream counts from 0; one that is reset does too, once what was made has come."""
        if isinstance(message, Params):
            self._asked = self._asked or message.fmt == "msgpack"
            self._due = self._told = self._resets = 0
            self._from_0 = False
        elif message.action == "reset":
            self._resets += 1

    def unread(self) -> None:
        """A binary message came that cannot be read.

        Raises:
            ConnectionLost: it was a frame.
        """
        if self._asked or self._came:
            raise self._damaged()

    def received(self, message: FromWorker, *, binary: bool, streaming: bool) -> None:
        """A message came.

        Args:
            binary: it was no text.
            streaming: a stream ran when it came; without one, another may begin unasked.

        Raises:
            ConnectionLost: a frame is missing before it, or it was one.
        """
        if binary and not isinstance(message, Frame):
            if self._came:
                raise self._damaged()
            self._from_0 = True  # another server's message, or what was its first frame
        match message:
            case Started():
                self._from_0 = True
            case Frame(index=int(index)):
                self._take(index, streaming)
            case BlockDone():
                self._told = message.index + message.frames
            case Completed() if streaming and self._came and not self._resets:
                if self._due < self._told:
                    raise self._gap("completed")

    def _take(self, index: int, streaming: bool) -> None:
        if not self._due and not self._from_0:
            self._due = index
        self._came = self._from_0 = True
        if index == 0 and self._due and (self._resets or not streaming):
            self._resets = max(0, self._resets - 1)
            self._due = self._told = 0
        if index != self._due:
            raise self._gap(f"went on with frame {index}")
        self._due += 1

    def _damaged(self) -> ConnectionLost:
        return ConnectionLost(f"{self._name} sent a frame that came damaged")

    def _gap(self, did: str) -> ConnectionLost:
        return ConnectionLost(f"{self._name} {did}; frame {self._due} did not come")
