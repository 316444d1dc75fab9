"""What the clip endpoints take and answer: the hosted model's shapes.

Validated here; how a clip comes about is not known here.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from framewire.protocol.params import Seed, Side, Strength
from framewire.protocol.prompts.blends import Prompt

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
Url = Annotated[str, Field(min_length=1)]


class ClipRequest(BaseModel):
    """What every endpoint takes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Prompt
    seed: Seed | None = None
    enable_prompt_expansion: bool = False
    width: Side | None = None
    height: Side | None = None


class TextToVideo(ClipRequest):
    """A clip from a prompt: exactly `num_frames` frames at 16 a second."""

    num_frames: FrameCount = 78


class ImageToVideo(TextToVideo):
    """A clip that begins with a picture and goes on as the prompt says.

    Attributes:
        image_url: a JPEG, PNG or WebP: a data URL, or a URL on a host that the operator allows.
    """

    image_url: Url


class VideoToVideo(ClipRequest):
    """A clip from a prompt and a video, which is read at 16 frames a second.

    Attributes:
        video_url: a data URL, or a URL on a host that the operator allows.
        strength: 0 keeps the video (less than 0.01 is 0.01), 1 remakes it.
        num_frames: None follows the video's length, rounded up to what can be made.
    """

    video_url: Url
    strength: Strength = 0.85
    num_frames: FrameCount | None = None


AnyClip = TextToVideo | VideoToVideo

ENDPOINTS: dict[str, type[AnyClip]] = {
    "text-to-video": TextToVideo,
    "image-to-video": ImageToVideo,
    "video-to-video": VideoToVideo,
}
"""What each endpoint takes, by its path's last part."""


class ClipFile(BaseModel):
    """Where the finished file is fetched."""

    url: str
    content_type: str = "video/mp4"
    file_name: str
    file_size: int


class ClipAnswer(BaseModel):
    """The answer of every endpoint.

    Attributes:
        warnings: what was asked for and not done; left out where there is none.
    """

    video: ClipFile
    seed: int
    warnings: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_hosted(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = serialize(self)
        if not self.warnings:
            del said["warnings"]
        return said
