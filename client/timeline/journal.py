"""What a session said and heard, kept so that the same frames can be made again.

Listens between a session and its connections: each stream of each connection is a piece, in that
connection's own counts, so that one with a reconnect in it is kept as what it was. What took effect
where is taken from the worker's own word; where it gives none, blocks are counted by frames.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from framewire.client.errors import SaveError
from framewire.client.wire import Wire
from framewire.protocol import Completed, Frame, FromWorker, Params, Started, State, Steer, Steered
from framewire.protocol.steering import BlockShape

from .model import Clip, Piece, Timeline
from .spans import entries_of_pieces

MOST_STEERS = 10_000
MOST_CHARS = 8_000_000
"""Of all that is kept: what a server says cannot fill memory."""
_NOT_KEPT = {"start_frame", "steers", "events", "fmt", "fps", "num_blocks"}
_OF_NO_FRAME = ("num_blocks", "seed")
"""Values of a change: the length is known by the frames, a seed begins another piece."""


@dataclass
class _Stream:
    """One piece as it comes."""

    params: dict[str, Any]
    made_with: dict[str, Any] = field(default_factory=dict)
    start_frame: str | None = None
    shape: BlockShape = field(default_factory=BlockShape)
    steers: list[dict[str, Any]] = field(default_factory=list)
    holds: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 0
    is_exact: bool = True

    def piece(self) -> Piece:
        return Piece(
            params=self.params,
            steers=tuple(self.steers),
            frames=self.frames,
            made_with=self.made_with,
            start_frame=self.start_frame,
            holds=tuple(self.holds),
            shape=(self.shape.first, self.shape.later),
            is_exact=self.is_exact,
        )


UNREPEATABLE = (
    "with mid_block_prompts a prompt comes in when it happens to arrive, so that no timeline can make "
    "the frames again: leave it out"
)


class Journal:
    """Keeps one session. Hand it to `connect(journal=...)`.

    Attributes:
        clip: what it is made from, where whoever feeds it says so.
        original_prompt: what the prompt was before it was expanded, if it was.
        frames: that were kept so far.
    """

    def __init__(self, clip: Clip | None = None) -> None:
        self.clip = clip
        self.original_prompt: str | None = None
        self._streams: list[_Stream] = []
        self._asked: dict[str, Any] = {}
        self._start_frame: str | None = None
        self._waits_for_frames = False  # a stream was asked for, of which nothing has come
        self._is_told = False  # the worker says when a stream begins
        self._pictures = 0
        self._chars = 0
        self._is_full = False

    @property
    def frames(self) -> int:
        return sum(stream.frames for stream in self._streams)

    def between(self, wire: Wire) -> Wire:
        """The connection as a session is to use it."""
        return _JournalWire(wire, self)

    def leave_out(self, count: int = 1) -> None:
        """The frames that came last are not shown: more than was asked for, or forgotten unread."""
        for stream in reversed(self._streams):
            left_out = min(stream.frames, count)
            stream.frames -= left_out
            count -= left_out

    def hold(self, frame: int) -> None:
        """The picture before a frame was shown for a frame more."""
        if not self._streams:
            return
        holds = self._streams[-1].holds
        before = holds.pop()[1] if holds and holds[-1][0] == frame else 0
        holds.append((frame, before + 1))

    def timeline(self) -> Timeline:
        """What was kept so far, as a timeline that makes it again.

        Raises:
            SaveError: prompts may have changed inside a block, which no timeline can say.
        """
        pieces = tuple(stream.piece() for stream in self._streams if stream.frames)
        if any(piece.params.get("mid_block_prompts") for piece in pieces):
            raise SaveError(UNREPEATABLE)
        first = pieces[0] if pieces else None
        return Timeline(
            entries=entries_of_pieces(pieces),
            format="kept session",
            settings={} if first is None else first.params,
            made_for=None if first is None else _maker(first),
            wants_input=bool(self._pictures),
            notes=self._notes(pieces),
            pieces=pieces,
            clip=self.clip,
            original_prompt=self.original_prompt,
        )

    def said(self, message: Params | Steer) -> None:
        """The session has sent this."""
        if isinstance(message, Params):
            self._asked |= message.model_dump(mode="json", exclude_none=True, exclude=_NOT_KEPT)
            for key in {"prompts", "blend"} - message.model_fields_set:
                self._asked.pop(key, None)
            if message.start_frame is not None:
                self._start_frame = hashlib.sha256(message.start_frame).hexdigest()
            self._waits_for_frames = True
            return
        self._pictures += message.image is not None
        if message.action == "reset":
            said = message.model_dump(mode="json", exclude_none=True, exclude={"image"})
            self._asked |= _values(said)
            self._waits_for_frames = True
        elif self._streams and not self._streams[-1].is_exact:
            self._guess(message)

    def heard(self, message: FromWorker) -> None:
        """The worker has said this."""
        match message:
            case Started():
                self._streams.append(self._told(message))
                self._waits_for_frames, self._is_told = False, True
            case Frame():
                # A worker that tells of streams tells before their frames: until then they are stale.
                if self._waits_for_frames and not self._is_told:
                    self._streams.append(_Stream(dict(self._asked), is_exact=False))
                    self._streams[-1].start_frame = self._start_frame
                    self._waits_for_frames = False
                if self._streams:
                    self._streams[-1].frames += 1
            case Steered() if self._streams and message.values:
                self._keep_steer(message.values, message.block)
            case Completed():
                pass

    def _told(self, event: Started) -> _Stream:
        """A piece as the worker says that it begins."""
        made_with = {key: _short(value) for key, value in list(event.made_with.items())[:50]}
        try:
            params = Params.model_validate(event.params).model_dump(
                mode="json", exclude_none=True, exclude=_NOT_KEPT
            )
        except ValidationError:  # an older worker says less
            size = {"seed": event.seed, "width": event.width, "height": event.height}
            return _Stream({**self._asked, **size}, start_frame=self._start_frame, is_exact=False)
        shape = BlockShape(event.first_block_frames or 6, event.block_frames or 12)
        return _Stream(params, made_with, self._start_frame, shape)

    def _guess(self, message: Steer) -> None:
        """Where a change takes effect of which the worker will not tell."""
        stream = self._streams[-1]
        block = stream.shape.block_of(stream.frames) + 1
        said = message.model_dump(mode="json", exclude_none=True, exclude={"image"})
        self._keep_steer(said, max(block, message.at_block or 0))

    def _keep_steer(self, values: dict[str, Any], block: int) -> None:
        try:
            said = Steer.model_validate(_values(values)).model_dump(mode="json", exclude_none=True)
        except ValidationError:
            return
        steers = self._streams[-1].steers
        chars = sum(len(str(value)) for value in said.values())
        if len(steers) >= MOST_STEERS or self._chars + chars > MOST_CHARS:
            self._is_full = True
        elif said:
            self._chars += chars
            steers.append({**said, "at_block": block})

    def _notes(self, pieces: tuple[Piece, ...]) -> tuple[str, ...]:
        notes = []
        if self._pictures and self.clip is None:
            notes.append("the pictures of a camera are not kept: with others the frames differ")
        if not all(piece.is_exact for piece in pieces):
            notes.append(
                "the server did not tell where changes took effect, or its seed: blocks are counted "
                "by frames"
            )
        if self._is_full:
            notes.append("changes beyond what can be kept are left out")
        return tuple(notes)


class _JournalWire:
    """A `Wire` that is listened to."""

    def __init__(self, wire: Wire, journal: Journal) -> None:
        self._wire = wire
        self._journal = journal

    @property
    def state(self) -> State:
        return self._wire.state

    async def send(self, message: Params | Steer) -> None:
        self._journal.said(message)
        await self._wire.send(message)

    async def receive(self) -> FromWorker:
        message = await self._wire.receive()
        self._journal.heard(message)
        return message

    async def close(self) -> None:
        await self._wire.close()


def _values(said: dict[str, Any]) -> dict[str, Any]:
    """What a map changes, without when and how."""
    left_out = ("action", "at_block", "at_frame", "image", "request_id", "timestamp", *_OF_NO_FRAME)
    return {key: value for key, value in said.items() if key not in left_out}


def _maker(piece: Piece) -> str | None:
    made_with = piece.made_with
    found = made_with.get("preset", made_with.get("backend"))
    return None if found is None else str(found)


def _short(value: object) -> str | int | float | bool:
    return value if isinstance(value, int | float | bool) else str(value)[:200]
