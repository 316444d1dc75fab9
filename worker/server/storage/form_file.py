"""The file in a form (`multipart/form-data`), handed on while it comes: it is never whole here."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from .errors import UploadRefused
from .receiving import pieces

FORM_BYTES = 100_000
"""Beside the file's own."""
_PART = "file"


@dataclass(slots=True)
class FormFile:
    """The part called `file`; `pieces` are its bytes.

    Attributes:
        name, content_type: as its sender says.
    """

    name: str
    content_type: str
    pieces: AsyncIterator[bytes]


@dataclass(slots=True)
class _Heard:
    """What the parser has said so far."""

    headers: dict[str, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    is_file: bool = False
    begun: bool = False
    ended: bool = False
    form_ended: bool = False
    data: deque[bytes] = field(default_factory=deque)

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._part,
            "on_header_field": self._name,
            "on_header_value": self._value,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part(self) -> None:
        self.is_file = False
        if not self.begun:
            self.headers = {}

    def _name(self, data: bytes, start: int, end: int) -> None:
        self.header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self.header_value += data[start:end]

    def _header(self) -> None:
        if not self.begun:
            name = self.header_name.decode("latin-1").lower()
            self.headers[name] = bytes(self.header_value)
        self.header_name = self.header_value = b""

    def _headers(self) -> None:
        _, about = parse_options_header(self.headers.get("content-disposition", b""))
        if not self.begun and about.get(b"name") == _PART.encode():
            self.begun = self.is_file = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.is_file:
            self.data.append(data[start:end])

    def _part_end(self) -> None:
        self.ended = self.ended or self.is_file

    def _end(self) -> None:
        self.form_ended = True


async def form_file(request: Request, limit: int) -> FormFile:
    """The file in the body of `request`, from its first byte on.

    Args:
        limit: bytes that it may have.

    Raises:
        UploadRefused: the body is no form, or there is no file in it.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadRefused(f"send multipart/form-data with a part called {_PART!r}")
    heard = _Heard()
    parser = MultipartParser(boundary, heard.callbacks())
    body = pieces(request, limit + FORM_BYTES)
    while not heard.begun:
        await _more(body, parser, heard)
    _, about = parse_options_header(heard.headers["content-disposition"])
    return FormFile(
        about.get(b"filename", b"").decode("utf-8", "replace"),
        heard.headers.get("content-type", b"").decode("latin-1"),
        _rest(body, parser, heard),
    )


async def _rest(
    body: AsyncIterator[bytes], parser: MultipartParser, heard: _Heard
) -> AsyncIterator[bytes]:
    while True:
        while heard.data:
            yield heard.data.popleft()
        if heard.ended:
            return
        await _more(body, parser, heard)


async def _more(body: AsyncIterator[bytes], parser: MultipartParser, heard: _Heard) -> None:
    """Let the parser read on.

    Raises:
        UploadRefused: there is no more, or it is no form.
    """
    try:
        piece = await anext(body, b"")
        if piece:
            parser.write(piece)
            return
    except FormParserError:
        raise UploadRefused("the body is no multipart/form-data") from None
    if heard.form_ended:
        raise UploadRefused(f"the form has no part called {_PART!r}")
    raise UploadRefused("the form breaks off before its end")
