"""An uploaded file as a browser gets it: it can show pictures and play videos, and run nothing.

Whatever its caller says it is, only plain media types are told to a browser; the rest is bytes to
be saved. A sandbox without scripts holds for all, should a browser show one as a page.
"""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import FileResponse

from .store import Upload
from .wishes import DEFAULT_TYPE

_SHOWN = ("image/", "video/", "audio/")
_PLAIN = ("text/plain", "application/json")
_SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
    ),
    "Referrer-Policy": "no-referrer",
}


def file_response(upload: Upload, path: Path) -> FileResponse:
    """The answer to who asks for it."""
    media = upload.content_type.startswith(_SHOWN) and "xml" not in upload.content_type
    told = upload.content_type if media or upload.content_type in _PLAIN else DEFAULT_TYPE
    return FileResponse(
        path,
        media_type=told,
        headers=_SAFETY,
        filename=upload.file_name or upload.name,
        content_disposition_type="inline" if media else "attachment",
    )
