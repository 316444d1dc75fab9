"""The page's files, read once, each with its type and the tag by which a browser knows it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import resources
from importlib.resources.abc import Traversable

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file: its bytes, their type, and an HTTP entity tag."""

    body: bytes
    media_type: str
    etag: str


@cache
def page_files() -> Mapping[str, PageFile]:
    """Every file of the page by its path within it, such as `modes/camera.js`."""
    root = resources.files("framewire.worker") / "page"
    return {path: _read(entry) for path, entry in _below(root, "")}


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        elif _suffix(entry.name) in _TYPES:
            yield prefix + entry.name, entry


def _read(entry: Traversable) -> PageFile:
    body = entry.read_bytes()
    tag = blake2b(body, digest_size=16).hexdigest()
    return PageFile(body, _TYPES[_suffix(entry.name)], f'"{tag}"')


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]
