"""The socket as a session sees it: whole messages in and out, and two ways to end."""

from __future__ import annotations

from typing import Protocol


class Disconnected(Exception):
    """The viewer has gone."""


class ViewerSocket(Protocol):
    """What a session needs of a socket that was accepted already."""

    async def receive(self) -> bytes | str:
        """The next message.

        Raises:
            Disconnected: there will be none.
        """

    async def send(self, data: bytes | str) -> None:
        """Send one message; waits while the viewer does not read.

        Raises:
            Disconnected: the viewer has gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close with a code; nothing happens where it is closed already."""

    def abort(self) -> None:
        """Drop the connection without a handshake: for a viewer that does not read."""
