"""What fal's clients say of a file beside its bytes: type, name, how long and by whom it is read."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers

from .errors import UploadRefused

DEFAULT_TYPE = "application/octet-stream"
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}")
_LIFECYCLE_HEADERS = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")
_MOST_NAME = 255


class _Rule(BaseModel):
    model_config = ConfigDict(extra="ignore")

    decision: str = "allow"


class _Access(BaseModel):
    model_config = ConfigDict(extra="ignore")

    default: str | None = None
    rules: list[_Rule] = Field(default_factory=list, max_length=1000)


class _Lifecycle(BaseModel):
    model_config = ConfigDict(extra="ignore")

    expiration_duration_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    initial_acl: _Access | None = None


def content_type(said: str) -> str:
    """A media type without parameters; what is none is just bytes."""
    plain = said.partition(";")[0].strip().lower()
    return plain if _TYPE.fullmatch(plain) else DEFAULT_TYPE


def file_name(said: str) -> str:
    """The name alone, of what may be a path of the caller's; it names nothing on this machine."""
    name = re.split(r"[/\\]", said)[-1]
    return "".join(letter for letter in name if letter.isprintable())[-_MOST_NAME:]


def life(headers: Headers) -> float | None:
    """Seconds that a file is to be kept; None where it does not say.

    Raises:
        UploadRefused: it asks for what is not kept here, a list of who may read.
    """
    said = next(filter(None, map(headers.get, _LIFECYCLE_HEADERS)), None)
    if said is None:
        return None
    try:
        found = _Lifecycle.model_validate_json(said)
    except ValidationError:
        raise UploadRefused(
            "the header X-Fal-Object-Lifecycle is not as fal's clients write it"
        ) from None
    access = found.initial_acl
    if access is not None:
        decisions = {access.default or "allow", *(rule.decision for rule in access.rules)}
        if decisions != {"allow"}:
            raise UploadRefused(
                "this worker keeps no list of who may read a file: whoever knows its URL may. "
                "Leave initial_acl out"
            )
    return found.expiration_duration_seconds
