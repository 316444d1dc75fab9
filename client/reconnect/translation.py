"""A steer as a later connection of the same stream has to be told it.

Its worker was asked for the rest of the stream only: it counts blocks from there, and has not
seen the pictures before.
"""

from __future__ import annotations

from framewire.protocol import Steer

from .counts import Counts

_OF_THE_PICTURE = ("image", "request_id", "timestamp")
_OF_THE_PROMPT = ("prompt", "prompts", "blend")


def translated(steer: Steer, counts: Counts, num_blocks: int) -> list[Steer]:
    """The steer in the counts of this connection, as maps to send in this order.

    Args:
        steer: in the caller's counts. Its prompt counts, also if it came with a picture.
        num_blocks: the length of the whole stream, which a reset starts over.
    """
    update: dict[str, object] = {}
    if steer.action == "reset":
        update["num_blocks"] = steer.num_blocks or num_blocks
    elif steer.num_blocks is not None:
        update["num_blocks"] = counts.blocks_here(steer.num_blocks)
    if steer.at_frame is not None:
        update |= {"at_frame": max(0, steer.at_frame - counts.base.frames), "at_block": None}
    elif steer.at_block is not None:
        update["at_block"] = max(0, steer.at_block - counts.base.blocks)
    steer = steer.model_copy(update=update)
    if steer.image is None or steer.prompt is None:
        return [steer]
    # In one map this worker would judge by the pictures that it has seen if the prompt counts.
    return [_only(steer, *_OF_THE_PICTURE), without_picture(steer)]


def without_prompt(steer: Steer) -> Steer:
    """All else that the steer says."""
    return steer.model_copy(update=dict.fromkeys(_OF_THE_PROMPT))


def without_picture(steer: Steer) -> Steer:
    """All else that the steer says."""
    return steer.model_copy(update=dict.fromkeys(_OF_THE_PICTURE))


def just_picture(steer: Steer) -> Steer:
    """The picture, with the name that its frames bear."""
    return _only(steer, "image", "request_id")


def _only(steer: Steer, *keys: str) -> Steer:
    return Steer.model_validate({key: v for key, v in steer.wire().items() if key in keys})
