"""Bytes and text to maps and back: msgpack for BINARY messages, JSON for TEXT.

Knows no message and no state. Shape is checked before anything is decoded, so that a hostile
message costs a bounded number of steps and no memory beyond its own size.
"""

from __future__ import annotations

import json
from typing import Any

import msgpack

from .errors import LocalProtocolError, RemoteProtocolError
from .limits import (
    MAX_ELEMENTS,
    MAX_MESSAGE_BYTES,
    MAX_NESTING,
    MAX_TEXT_CHARS,
    MAX_TEXT_NESTING,
)

# First byte -> (bytes of the length field, kind); lengths count bytes ("raw") or elements.
_SIZED: dict[int, tuple[int, str]] = {
    0xC4: (1, "raw"), 0xC5: (2, "raw"), 0xC6: (4, "raw"),
    0xC7: (1, "ext"), 0xC8: (2, "ext"), 0xC9: (4, "ext"),
    0xD9: (1, "raw"), 0xDA: (2, "raw"), 0xDB: (4, "raw"),
    0xDC: (2, "array"), 0xDD: (4, "array"),
    0xDE: (2, "map"), 0xDF: (4, "map"),
}  # fmt: skip
# First byte -> bytes that follow it.
_FIXED: dict[int, int] = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8,
    0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip

_RECORDS = "msgpackr's record extension; expected a plain msgpack map (Packr's useRecords: false)"
_JSON = "JSON text in a BINARY message; expected a msgpack map"


def pack_map(values: dict[str, Any]) -> bytes:
    """A map as msgpack, with the bin family for bytes.

    Raises:
        LocalProtocolError: msgpack cannot hold a value (an integer of more than 64 bits, say).
    """
    try:
        return bytes(msgpack.packb(values, use_bin_type=True))
    except (ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"cannot be sent: {_one_line(error)}") from error


def unpack_map(data: bytes) -> dict[str, Any]:
    """The msgpack map in `data`. Keys that are no text are dropped; nil values mean absent.

    Raises:
        RemoteProtocolError: not msgpack, not a map, too large, too deep or too many elements.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise RemoteProtocolError(f"message of {len(data)} bytes; at most {MAX_MESSAGE_BYTES}")
    another = _other_encoding(data)
    if another:
        raise RemoteProtocolError(another)
    _check_shape(data)
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=0)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise RemoteProtocolError(f"malformed msgpack: {_one_line(error)}") from error
    if not isinstance(value, dict):
        said = " of JSON text" if isinstance(value, str | bytes) and _is_json(value[:64]) else ""
        raise RemoteProtocolError(f"expected a msgpack map, got {type(value).__name__}{said}")
    return _present(value)


def dump_text(values: dict[str, Any]) -> str:
    """Compact JSON: clients compare the ready message byte by byte."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def parse_text(text: str) -> dict[str, Any]:
    """The JSON object in `text`, null values dropped.

    Raises:
        RemoteProtocolError: not JSON, not an object, too large or too deep.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise RemoteProtocolError(f"text of {len(text)} characters; at most {MAX_TEXT_CHARS}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed JSON: {_one_line(error)}") from error
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"expected a JSON object, got {type(value).__name__}")
    level: list[Any] = [value]
    for _ in range(MAX_TEXT_NESTING):
        children = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for each in children for child in each if isinstance(child, dict | list)]
    if level:
        raise RemoteProtocolError(f"JSON nested deeper than {MAX_TEXT_NESTING}")
    return _present(value)


def _present(values: dict[Any, Any]) -> dict[str, Any]:
    """The entries that count: text keys (some encoders send them as bytes), values not nil."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
        if isinstance(name, str) and value is not None:
            found[name] = value
    return found


def _other_encoding(data: bytes) -> str:
    """What a message is that another encoder made; empty where it may be msgpack.

    No msgpack map begins as these do.
    """
    first, then = data[:1], data[1:2]
    if _is_json(data[:64]):
        return _JSON
    if b"\x40" <= first <= b"\x7f" and then:
        return (
            f"an integer ({first[0]}) with bytes after it, as msgpackr's records begin whose keys "
            "were sent before; expected a plain msgpack map (Packr's useRecords: false)"
        )
    is_str = b"\xa0" <= first <= b"\xbf" and len(data) == 1 + (first[0] & 0x1F)
    if b"\xa1" <= first <= b"\xbf" and b"\x60" <= then <= b"\x7f" and not is_str:
        return "CBOR, as it seems; expected a msgpack map"
    return ""


def _is_json(head: bytes | str) -> bool:
    text = head if isinstance(head, str) else head.decode("utf-8-sig", "replace")
    return "".join(text.split())[:2] in ('{"', "{}", "[{", '["')


def _check_shape(data: bytes) -> None:
    """Walk the headers only, payloads skipped: one value, bounded depth and element count."""
    position, elements = 0, 0
    open_counts = [1]
    while open_counts:
        if open_counts[-1] == 0:
            open_counts.pop()
            continue
        open_counts[-1] -= 1
        elements += 1
        if elements > MAX_ELEMENTS:
            raise RemoteProtocolError(f"more than {MAX_ELEMENTS} msgpack elements")
        position, children = _step(data, position)
        if children:
            if len(open_counts) > MAX_NESTING:
                raise RemoteProtocolError(f"msgpack nested deeper than {MAX_NESTING}")
            open_counts.append(children)
    if position != len(data):
        raise RemoteProtocolError(f"{len(data) - position} bytes after the msgpack map")


def _step(data: bytes, position: int) -> tuple[int, int]:
    """Skip one header and its payload: the position after it, and how many children follow."""
    if position >= len(data):
        raise RemoteProtocolError("malformed msgpack: it ends too early")
    first = data[position]
    position += 1
    children = size = 0
    if first <= 0x7F or first >= 0xE0:
        pass
    elif first <= 0x8F:
        children = 2 * (first & 0x0F)
    elif first <= 0x9F:
        children = first & 0x0F
    elif first <= 0xBF:
        size = first & 0x1F
    elif first in _FIXED:
        if first in (0xD4, 0xD5) and data[position : position + 1] == b"r":
            raise RemoteProtocolError(_RECORDS)
        size = _FIXED[first]
    elif first in _SIZED:
        width, kind = _SIZED[first]
        length = int.from_bytes(data[position : position + width], "big")
        size = width
        if kind == "array":
            children = length
        elif kind == "map":
            children = 2 * length
        else:
            size += length + (kind == "ext")
    else:
        raise RemoteProtocolError("malformed msgpack: byte 0xc1 is never used")
    if position + size > len(data):
        raise RemoteProtocolError("malformed msgpack: it ends too early")
    return position + size, children


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
