"""The files that a session may use, as it sees them: by ids, never by paths."""

from __future__ import annotations

from typing import Protocol

from framewire.protocol import Params
from framewire.protocol.params import uploaded_name
from framewire.worker.backends.base import SettingsError


class ViewerFiles(Protocol):
    """What is kept for the viewers of a worker."""

    async def picture(self, name: str) -> bytes | None:
        """The bytes of the upload of this name; None where there is none, or none any more.

        Raises:
            ValueError: it is too large for a picture.
        """


async def with_start_frame(params: Params, files: ViewerFiles | None) -> Params:
    """The params with the uploaded start frame that they name, if they name one.

    Raises:
        SettingsError: it is not there, or too large.
    """
    name = uploaded_name(params.start_frame or b"")
    if name is None:
        return params
    if files is None:
        raise SettingsError("start_frame", "no uploads are kept here: send the picture itself")
    try:
        data = await files.picture(name)
    except ValueError as error:
        raise SettingsError("start_frame", str(error)) from error
    if data is None:
        raise SettingsError(
            "start_frame", "no such upload, or its time is over: upload the picture again"
        )
    return params.model_copy(update={"start_frame": data})
