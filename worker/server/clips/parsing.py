"""The body of a request for a clip: how large it may be, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from pydantic import ValidationError

from framewire.worker.clips.maker import MAX_PICTURE_BYTES
from framewire.worker.clips.requests import ENDPOINTS, AnyClip, ImageToVideo, VideoToVideo
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker

_ROOM_FOR_JSON = 100_000


def body_limit(config: Config, model: type[AnyClip]) -> int:
    """Bytes that a body may have. Base64 makes four characters of three bytes."""
    if issubclass(model, VideoToVideo):
        return config.video_megabytes * 1_000_000 * 4 // 3 + _ROOM_FOR_JSON
    if issubclass(model, ImageToVideo):
        return MAX_PICTURE_BYTES * 4 // 3 + _ROOM_FOR_JSON
    return _ROOM_FOR_JSON


async def parsed(worker: Worker, endpoint: str, body: bytes | bytearray) -> AnyClip:
    """What is asked for.

    Raises:
        HTTPException: 422, with pydantic's errors as fal's endpoints answer them.
    """
    model = ENDPOINTS[endpoint]
    try:
        return await worker.in_turn(object(), lambda: model.model_validate_json(body))
    except ValidationError as error:
        detail: list[Any] = error.errors(
            include_url=False, include_context=False, include_input=False
        )
        for item in detail:
            item["loc"] = ("body", *item["loc"])
        raise HTTPException(422, detail) from error
