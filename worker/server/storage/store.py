"""Uploads on disk: each under a name that cannot be guessed, for a while, and not too many.

A file that is whole outlives its worker, so that what names it (a job in the queue, say) finds it
after a restart; one that is not is forgotten. None makes room for another: who names a file relies
on it. Knows files and time; knows no request.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from framewire.worker.config import Config

from .errors import NoSuchUpload, NotWritten, StoreFull, TooManyUploads
from .half_upload import PART_SUFFIX, About, HalfUpload, disk_failing
from .room import UploadRoom

logger = logging.getLogger(__name__)

HALF_SECONDS = 600.0
"""After which an upload of which nothing comes any more is forgotten."""
LOOK_SECONDS = 1.0
"""Between two looks at one that is over or nearly so."""
_ABOUT_SUFFIX = ".json"
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")
_MEGABYTE = 1_000_000


class Upload(BaseModel):
    """A whole file, as it is remembered beside it.

    Attributes:
        url: as its caller was told.
        size: in bytes.
        expires_at: in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    content_type: str
    file_name: str
    size: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Kept:
    upload: Upload
    half_id: str
    owner: str | None
    expiry: asyncio.TimerHandle


class UploadStore:
    """The uploads of one worker. Made and used on one event loop.

    Args:
        folder: of the store alone; what lies there of an earlier worker is found again.
        config: the bounds.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self._folder = folder
        self._config = config
        self._room = UploadRoom(
            config.upload_megabytes * _MEGABYTE, config.caller_upload_megabytes * _MEGABYTE
        )
        self._kept: dict[str, _Kept] = {}
        self._halves: dict[str, HalfUpload] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._find_again()

    @property
    def bytes_kept(self) -> int:
        """Bytes of all uploads, whole or half."""
        return self._room.taken

    @property
    def file_limit(self) -> int:
        """Bytes that one file may have."""
        return self._config.upload_file_megabytes * _MEGABYTE

    def begin(
        self,
        url_of: Callable[[str], str],
        content_type: str,
        file_name: str = "",
        life: float | None = None,
        owner: str | None = None,
    ) -> HalfUpload:
        """A file is to come.

        Args:
            url_of: the URL that belongs to a name.
            life: seconds to keep it, where that is less than any file is kept.
            owner: the address that it counts to.

        Raises:
            StoreFull: there are as many as may be.
            TooManyUploads: its owner has too many under way.
        """
        if len(self._kept) + len(self._halves) >= self._config.max_uploads:
            raise StoreFull(f"{self._config.max_uploads} uploads are kept: try again later")
        most = self._config.caller_uploads
        under_way = Counter(half.about.owner for half in self._halves.values())
        if owner is not None and most and under_way[owner] >= most:
            raise TooManyUploads(f"{most} uploads from your address are under way: finish one")
        name = f"{self._config.name_in_ids}-{secrets.token_hex(24)}{_extension(file_name)}"
        about = About(
            name=name,
            url=url_of(name),
            content_type=content_type,
            file_name=file_name,
            life=min(life or self._config.upload_life, self._config.upload_life),
            owner=owner,
        )
        half = HalfUpload(about, self._folder, self._room, self.file_limit)
        self._halves[half.id] = half
        self._look_again(half)
        return half

    def half(self, name: str, half_id: str) -> HalfUpload:
        """The upload under way of this name and id.

        Raises:
            NoSuchUpload: there is none.
        """
        half = self._halves.get(half_id)
        if half is None or half.about.name != name:
            raise NoSuchUpload("no such upload is under way, or its time is over")
        return half

    async def complete(self, half: HalfUpload, parts: Iterable[tuple[int, str]] | None) -> Upload:
        """Keep the file that came in parts.

        Raises:
            NoSuchUpload, PartsMissing: it is not under way, or not whole.
            NotWritten: the disk is full; the upload is over.
        """
        about, path = half.about, self._folder / half.about.name
        try:
            size = await half.join(parts, path)
        except NotWritten:
            self.discard(half)
            raise
        self._halves.pop(half.id, None)
        upload = Upload(
            name=about.name,
            url=about.url,
            content_type=about.content_type,
            file_name=about.file_name,
            size=size,
            expires_at=time.time() + about.life,
        )
        try:
            with disk_failing():
                await asyncio.to_thread(_remember, upload, path)
        except BaseException:
            path.unlink(missing_ok=True)
            self._room.give_back(about.owner, size)
            raise
        self._keep(upload, half.id, about.owner)
        return upload

    def completed(self, name: str, half_id: str) -> Upload | None:
        """The file that this upload has become already, for who did not hear of it."""
        kept = self._kept.get(name)
        return kept.upload if kept is not None and kept.half_id == half_id else None

    def discard(self, half: HalfUpload) -> None:
        """Forget what has not become a file."""
        if self._halves.pop(half.id, None) is not None:
            half.discard()

    def find(self, name: str) -> Upload | None:
        """The file of this name; None where there is none, or none any more."""
        kept = self._kept.get(name)
        return kept.upload if kept is not None else None

    def path(self, upload: Upload) -> Path:
        """Where its bytes are."""
        return self._folder / upload.name

    def path_of_url(self, url: str) -> Path | None:
        """Where the bytes are of a file whose URL this is, to the letter as it was told."""
        try:
            name = urlsplit(url).path.rpartition("/")[2]
        except ValueError:
            return None
        upload = self.find(name)
        return self.path(upload) if upload is not None and upload.url == url else None

    def close(self) -> None:
        """Forget what is half; what is whole stays on disk."""
        for half in [*self._halves.values()]:
            self.discard(half)
        for kept in self._kept.values():
            kept.expiry.cancel()
        self._kept.clear()

    def _find_again(self) -> None:
        found = set()
        for about in self._folder.glob("*" + _ABOUT_SUFFIX):
            try:
                upload = Upload.model_validate_json(about.read_bytes())
                there = (self._folder / upload.name).stat().st_size == upload.size
            except (OSError, ValidationError):
                continue
            named_for_it = about.name == upload.name + _ABOUT_SUFFIX
            if there and named_for_it and upload.expires_at > time.time():
                found |= {about.name, upload.name}
                self._room.taken += upload.size
                self._keep(upload, "", None)
        for path in self._folder.iterdir():
            if path.name not in found and path.is_file():
                path.unlink(missing_ok=True)

    def _keep(self, upload: Upload, half_id: str, owner: str | None) -> None:
        left = max(0.0, upload.expires_at - time.time())
        expiry = asyncio.get_running_loop().call_later(left, self._expire, upload.name)
        self._kept[upload.name] = _Kept(upload, half_id, owner, expiry)

    def _expire(self, name: str) -> None:
        kept = self._kept.pop(name)
        (self._folder / (name + _ABOUT_SUFFIX)).unlink(missing_ok=True)
        (self._folder / name).unlink(missing_ok=True)
        self._room.give_back(kept.owner, kept.upload.size)

    def _look_again(self, half: HalfUpload) -> None:
        """Forget it if nothing of it came for long, else look again when that may be so."""
        loop = asyncio.get_running_loop()
        if half.id not in self._halves:
            return
        left = half.last_at + HALF_SECONDS - loop.time()
        if left <= 0 and not half.is_busy:
            self.discard(half)
        else:
            loop.call_later(max(left, LOOK_SECONDS), self._look_again, half)


def _extension(file_name: str) -> str:
    found = _EXTENSION.fullmatch(Path(file_name).suffix)
    return (
        found[0].lower() if found and found[0].lower() not in (_ABOUT_SUFFIX, PART_SUFFIX) else ""
    )


def _remember(upload: Upload, path: Path) -> None:
    new = path.with_name(upload.name + PART_SUFFIX)
    new.write_text(upload.model_dump_json())
    new.rename(path.with_name(upload.name + _ABOUT_SUFFIX))
