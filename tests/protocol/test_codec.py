"""Bytes and text: every encoding that clients use is read, and hostile shapes are cheap to refuse."""

import json
import struct
import time
import tracemalloc
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framewire.protocol import (
    MAX_MESSAGE_BYTES,
    LocalProtocolError,
    RemoteProtocolError,
    dump_text,
    pack_map,
    parse_text,
    unpack_map,
)
from framewire.protocol.limits import MAX_ELEMENTS, MAX_NESTING, MAX_TEXT_CHARS, MAX_TEXT_NESTING

KEY = b"\xa1k"


def one_entry(value: bytes) -> bytes:
    return b"\x81" + KEY + value


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x07", 7),
        (b"\xff", -1),
        (b"\xcc\xff", 255),
        (b"\xcd\x03\x40", 832),
        (b"\xce\x00\x00\x03\x40", 832),
        (b"\xcf" + struct.pack(">Q", 2**63), 2**63),
        (b"\xd0\xff", -1),
        (b"\xd1\xff\xff", -1),
        (b"\xd2\xff\xff\xff\xff", -1),
        (b"\xd3" + struct.pack(">q", -5), -5),
        (b"\xca" + struct.pack(">f", 0.5), 0.5),
        (b"\xcb" + struct.pack(">d", 832.0), 832.0),
        (b"\xc2", False),
        (b"\xc3", True),
        (b"\x92\x01\x02", [1, 2]),
        (b"\xdc\x00\x02\x01\x02", [1, 2]),
        (b"\xdd\x00\x00\x00\x02\x01\x02", [1, 2]),
        (b"\x81\xa1a\x01", {"a": 1}),
        (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xd4\x01z", msgpack.ExtType(1, b"z")),
        (b"\xc7\x03\x01abc", msgpack.ExtType(1, b"abc")),
        (b"\xd6\xff\x00\x00\x00\x01", msgpack.Timestamp(1)),
    ],
)
def test_every_family_of_values_is_read(encoded: bytes, value: object) -> None:
    assert unpack_map(one_entry(encoded)) == {"k": value}


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("kind", [str, bytes])
def test_texts_and_bytes_of_every_length_are_read(kind: type, length: int) -> None:
    value = "x" * length if kind is str else b"x" * length
    assert unpack_map(msgpack.packb({"k": value})) == {"k": value}


@pytest.mark.parametrize("header", [b"\xa2", b"\xd9\x02", b"\xda\x00\x02", b"\xdb\x00\x00\x00\x02"])
def test_every_str_header_is_read(header: bytes) -> None:
    assert unpack_map(one_entry(header + "é".encode())) == {"k": "é"}


@pytest.mark.parametrize("header", [b"\xc4\x02", b"\xc5\x00\x02", b"\xc6\x00\x00\x00\x02"])
def test_every_bin_header_is_read(header: bytes) -> None:
    assert unpack_map(one_entry(header + b"\xff\xd8")) == {"k": b"\xff\xd8"}


def test_nil_means_absent() -> None:
    assert unpack_map(msgpack.packb({"seed": None, "prompt": "x"})) == {"prompt": "x"}
    assert parse_text('{"seed":null,"prompt":"x"}') == {"prompt": "x"}


def test_keys_that_are_no_text_are_dropped_and_bytes_keys_read() -> None:
    assert unpack_map(msgpack.packb({1: "a", 2.5: "b", False: "c", b"prompt": "x"})) == {
        "prompt": "x"
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"\x81", b"\x81\xa1k", b"\xde\x00", b"\xc1", one_entry(b"\xc1"), one_entry(b"\xc4\x05a")],
    ids=repr,
)
def test_what_is_cut_off_or_no_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="malformed msgpack"):
        unpack_map(data)


@pytest.mark.parametrize(
    "data",
    [
        one_entry(b"\xa2\xff\xfe"),  # not UTF-8
        b"\x81\x81\xa1a\x01\x01",  # a map as a key
        b"\x81\x91\x01\x01",  # a list as a key
        one_entry(b"\xc7\x02\xff\x00\x00"),  # a timestamp of an impossible length
    ],
)
def test_what_is_well_formed_but_cannot_be_decoded_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"malformed msgpack: .") as caught:
        unpack_map(data)
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("value", [[1], "text", b"bytes", 5, None, 1.5])
def test_what_is_no_map_is_refused(value: object) -> None:
    with pytest.raises(RemoteProtocolError, match="expected a msgpack map, got"):
        unpack_map(msgpack.packb(value))


RECORD = b"\xd4\x72\x40\x92\xa6prompt\xa4seed\xa1a\x07"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (RECORD, "msgpackr's record extension"),
        (b"\xd5\x72\x40\x01\x91\xa6prompt\xa1a", "msgpackr's record extension"),
        (b"\x81\xa6prompt" + RECORD, "msgpackr's record extension"),
        (b"\x40\xa1a\x07", "as msgpackr's records begin whose keys were sent before"),
        (b'{"prompt":"a","seed":7}', "JSON text in a BINARY message"),
        (b'\xef\xbb\xbf{\n  "prompt": "a"\n}', "JSON text in a BINARY message"),
        (b'[{"prompt": "a"}]', "JSON text in a BINARY message"),
        (msgpack.packb('{"prompt": "a"}'), "got str of JSON text"),
        (msgpack.packb(b'{"prompt": "a"}'), "got bytes of JSON text"),
        (b"\xa2\x66prompt\x61a\x64seed\x07", "CBOR"),
        (b"\xbf\x66prompt\x61a\xff", "CBOR"),
    ],
)
def test_what_another_encoder_made_is_named_as_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        unpack_map(data)
    assert "msgpack map" in caught.value.reason


@pytest.mark.parametrize("text", ["hello", "{", "[", "[1]", "x", "Z" * 30, "~"])
def test_a_text_that_only_begins_so_is_a_text(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"expected a msgpack map, got str$"):
        unpack_map(msgpack.packb(text))


def test_bytes_after_the_map_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="2 bytes after the msgpack map"):
        unpack_map(pack_map({"k": 1}) + b"\x00\x00")


def test_nesting_is_limited() -> None:
    def nested(depth: int) -> bytes:
        return one_entry(b"\x91" * (depth - 1) + b"\x01")

    assert unpack_map(nested(MAX_NESTING))
    with pytest.raises(RemoteProtocolError, match=f"deeper than {MAX_NESTING}"):
        unpack_map(nested(MAX_NESTING + 1))


def test_elements_are_limited() -> None:
    fits = MAX_ELEMENTS - 3  # the map, its key and the list
    assert unpack_map(msgpack.packb({"k": [0] * fits}))
    with pytest.raises(RemoteProtocolError, match=f"more than {MAX_ELEMENTS} msgpack elements"):
        unpack_map(msgpack.packb({"k": [0] * (fits + 1)}))


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 10_000_000,
        b"\xdd\xff\xff\xff\xff" * 2_000_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff" + b"\xc0" * 10_000_000,
        one_entry(b"\xc6\xff\xff\xff\xff"),
        one_entry(b"\xdb\xff\xff\xff\xff"),
        one_entry(b"\xc9\xff\xff\xff\xff\x01"),
    ],
    ids=["deep", "deep and wide", "huge map", "huge list", "huge bin", "huge str", "huge ext"],
)
def test_a_hostile_shape_costs_next_to_nothing(data: bytes) -> None:
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(RemoteProtocolError):
            unpack_map(data)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        assert time.thread_time() - began < 1
    finally:
        tracemalloc.stop()


def test_a_message_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match=f"at most {MAX_MESSAGE_BYTES}"):
        unpack_map(b"\xc1" * (MAX_MESSAGE_BYTES + 1))


def test_a_message_of_the_largest_size_is_read() -> None:
    room = MAX_MESSAGE_BYTES - len(pack_map({"start_frame": b"x" * 70_000})) + 70_000
    data = pack_map({"start_frame": b"x" * room})
    assert len(data) == MAX_MESSAGE_BYTES
    assert len(unpack_map(data)["start_frame"]) == room


def test_what_msgpack_cannot_hold_is_this_sides_fault() -> None:
    for value in (2**64, object(), "\ud800"):
        with pytest.raises(LocalProtocolError, match="cannot be sent"):
            pack_map({"k": value})


def test_text_is_compact_and_keeps_other_scripts() -> None:
    assert dump_text({"status": "ready"}) == '{"status":"ready"}'
    assert dump_text({"reason": "灯台"}) == '{"reason":"灯台"}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "ready", "nan", '{"a":}', '{"a":' + "1" * 5000 + "}", "[" * 100_000],
    ids=lambda text: text[:10],
)
def test_malformed_json_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="malformed JSON"):
        parse_text(text)


@pytest.mark.parametrize("text", ["[]", '"ready"', "1", "null", "true"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="expected a JSON object"):
        parse_text(text)


def test_text_is_limited_in_length_and_depth() -> None:
    def nested(depth: int) -> str:
        return '{"k":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    assert parse_text(nested(MAX_TEXT_NESTING)) is not None
    for depth in (MAX_TEXT_NESTING + 1, 400):
        with pytest.raises(RemoteProtocolError, match=f"deeper than {MAX_TEXT_NESTING}"):
            parse_text(nested(depth))
    with pytest.raises(RemoteProtocolError, match=f"at most {MAX_TEXT_CHARS}"):
        parse_text(json.dumps({"k": "x" * MAX_TEXT_CHARS}))


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=8))
def test_a_map_survives_the_wire(values: dict[str, object]) -> None:
    try:
        assert unpack_map(pack_map(values)) == values
    except RemoteProtocolError as error:
        assert "deeper" in error.reason


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_a_remote_error(data: bytes) -> None:
    for candidate in (data, b"\x81" + data, one_entry(data)):
        with suppress(RemoteProtocolError):
            assert isinstance(unpack_map(candidate), dict)


@given(st.text(max_size=200) | VALUES.map(repr))
def test_any_text_is_an_object_or_a_remote_error(text: str) -> None:
    for candidate in (text, "{" + text + "}", '{"k":' + text + "}"):
        with suppress(RemoteProtocolError):
            assert isinstance(parse_text(candidate), dict)
