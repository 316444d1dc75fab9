"""The picture as the caller gets it. Knows neither socket nor decoder: `jpeg` stays bytes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        index: from 0, by the worker's count where its wire tells, else by the client's. The
            client cannot see where a reset took effect, so its own count runs on over it. Goes on
            over a reconnect, as do `block` (a new one begins there) and `prompt_version`.
        block: the block it belongs to; None where unknown (the plain wire does not tell).
        jpeg: the whole JPEG file.
        received_at: seconds on the clock of `time.monotonic()`.
        request_id: of the input picture it was made from; None where unknown.
        prompt_version: 1 for the first prompt, one more with each change; None where unknown.
        source_at: when the input picture it was made from is, in seconds by the clock of its source's
            sound: of a clip since its first picture, of what is live by `time.monotonic()`. Of frames
            that come from a feed; None where unknown.
    """

    index: int
    block: int | None
    jpeg: bytes = field(repr=False)
    received_at: float
    request_id: str | None = None
    prompt_version: int | None = None
    source_at: float | None = None
