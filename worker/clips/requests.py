"""What `POST /text-to-video` and `POST /video-to-video` take and answer: the hosted model's shapes.

Validated here; how a clip comes about is not known here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from framewire.protocol.blends import Prompt
from framewire.protocol.params import Seed, Side

FRAME_COUNTS = tuple(range(18, 163, 12))  # 6 frames of the first block, 12 of each later one


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        # pydantic reports a ValueError as a validation error, and nothing else.
        raise ValueError("must be a number, not true or false")  # noqa: TRY004
    return value


def _frame_count(value: int) -> int:
    if value not in FRAME_COUNTS:
        right = ", ".join(map(str, FRAME_COUNTS))
        raise ValueError(f"{value} frames cannot be made; right are 6 + 12k: {right}")
    return value


FrameCount = Annotated[int, BeforeValidator(_not_bool), AfterValidator(_frame_count)]


class _ClipRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Prompt
    seed: Seed | None = None
    enable_prompt_expansion: bool = False
    width: Side | None = None
    height: Side | None = None


class TextToVideo(_ClipRequest):
    """A clip from a prompt: exactly `num_frames` frames at 16 a second."""

    num_frames: FrameCount = 78


class VideoToVideo(_ClipRequest):
    """A clip from a prompt and a video, which is read at 16 frames a second.

    Attributes:
        video_url: a data URL, or a URL on a host that the operator allows.
        strength: 0.01 keeps the video, 1 remakes it.
        num_frames: None follows the video's length, rounded up to what can be made.
    """

    video_url: Annotated[str, Field(min_length=1)]
    strength: Annotated[float, Field(ge=0.01, le=1), BeforeValidator(_not_bool)] = 0.85
    num_frames: FrameCount | None = None


class ClipFile(BaseModel):
    """Where the finished file is fetched."""

    url: str
    content_type: str = "video/mp4"
    file_name: str
    file_size: int


class ClipAnswer(BaseModel):
    """The answer of both endpoints."""

    video: ClipFile
    seed: int
