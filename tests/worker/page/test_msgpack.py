"""The page's msgpack and Python's understand each other."""

import random
import string
import struct
from pathlib import Path
from typing import Any

import msgpack
from support.node import run_module

SHOWN = """
import { decode, encode } from "./page/msgpack.js";
const fromHex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// Whatever JSON cannot say, or would say of two different values alike.
function shown(value) {
  if (value instanceof Uint8Array) return { bin: hex(value) };
  if (typeof value === "bigint") return { int: String(value) };
  if (typeof value === "number") {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return { int: String(value) };
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return { float: hex(new Uint8Array(view.buffer)) };
  }
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === "object") {
    return { map: Object.keys(value).map((key) => [key, shown(value[key])]) };
  }
  return value;
}
"""


def shown(value: Any) -> Any:
    """A value as the script shows it: in JavaScript a whole float is an int, but for -0."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not (
        value.is_integer() and abs(value) < 2**53 and struct.pack(">d", value) != b"\x80" + bytes(7)
    ):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, int | float):
        return {"int": str(int(value))}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return {"map": [[key, shown(each)] for key, each in value.items()]}


def a_value(rng: random.Random, depth: int = 0) -> Any:
    kinds = [None, True, False, "int", "edge", "float", "text", "bin"]
    kind = rng.choice(kinds + (["list", "map"] if depth < 4 else []))
    if kind == "int":
        return rng.randint(-(2 ** rng.randint(0, 63)), 2 ** rng.randint(0, 64) - 1)
    if kind == "edge":
        bits = rng.choice([5, 7, 8, 15, 16, 31, 32, 53, 63])
        return rng.choice([-1, 1]) * 2**bits + rng.choice([-1, 0, 1]) * (bits < 63)
    if kind == "float":
        return rng.choice([rng.uniform(-1e6, 1e6), rng.random() * 1e300, -0.0, 1.0, 0.1])
    if kind == "text":
        letters = string.ascii_letters + "äß€🙂\ufeff\0\u2028"
        return "".join(rng.choices(letters, k=rng.choice([0, 3, 31, 32, 90, 300])))
    if kind == "bin":
        return rng.randbytes(rng.choice([0, 1, 255, 256, 3000]))
    if kind == "list":
        return [a_value(rng, depth + 1) for _ in range(rng.choice([0, 1, 3, 15, 16]))]
    if kind == "map":
        count = rng.choice([0, 1, 3, 15, 16])
        # A name that is a number would come first in an object, whatever the order was.
        names = ["__proto__", "constructor", "ключ", *("key" + str(each) for each in range(13))]
        return {name: a_value(rng, depth + 1) for name in rng.sample(names, count)}
    return kind


VALUES = [
    *(a_value(random.Random(seed)) for seed in range(600)),
    "x" * 70_000,
    bytes(70_000),
    list(range(70_000)),
    {f"key{each}": each for each in range(70_000)},
]


def test_it_reads_what_python_writes(tmp_path: Path) -> None:
    script = SHOWN + "answer(given.map((text) => shown(decode(fromHex(text)))));"
    read = run_module(script, tmp_path, [msgpack.packb(each).hex() for each in VALUES])
    assert read == [shown(each) for each in VALUES]


def test_it_reads_floats_of_32_bits(tmp_path: Path) -> None:
    script = SHOWN + "answer(given.map((text) => decode(fromHex(text))));"
    values = [0.5, -1.25, 3e38]
    packed = [msgpack.packb(each, use_single_float=True) for each in values]
    read = run_module(script, tmp_path, [each.hex() for each in packed])
    assert read == [msgpack.unpackb(each) for each in packed]


def test_python_reads_what_it_writes_and_it_is_as_short_as_pythons(tmp_path: Path) -> None:
    script = SHOWN + "answer(given.map((text) => hex(encode(decode(fromHex(text))))));"
    written = run_module(script, tmp_path, [msgpack.packb(each).hex() for each in VALUES])
    for value, text in zip(VALUES, written, strict=True):
        again = msgpack.unpackb(bytes.fromhex(text))
        assert shown(again) == shown(value)
        assert len(text) // 2 <= len(msgpack.packb(value))


def test_params_are_written_as_the_wire_wants_them(tmp_path: Path) -> None:
    """Whole numbers are ints, what is undefined is left out, both kinds of bytes are bin."""
    script = """
import { encode } from "./page/msgpack.js";
const map = { prompt: "a", seed: 2 ** 24, strength: 0.5, width: undefined, start_frame:
  new Uint8Array([1, 2]), image: new Uint8Array([3, 4]).buffer, part: new Uint8Array([0, 5, 6, 0])
  .subarray(1, 3), big: 2n ** 60n, map: new Map([["a", null]]) };
answer(Buffer.from(encode(map)).toString("hex"));
"""
    written = msgpack.unpackb(bytes.fromhex(run_module(script, tmp_path)))
    assert written == {
        "prompt": "a",
        "seed": 2**24,
        "strength": 0.5,
        "start_frame": b"\1\2",
        "image": b"\3\4",
        "part": b"\5\6",
        "big": 2**60,
        "map": {"a": None},
    }
    assert type(written["seed"]) is int


def test_what_is_malformed_is_an_error_and_takes_no_memory(tmp_path: Path) -> None:
    bad = {
        "nothing": b"",
        "cut short": msgpack.packb({"image": bytes(300)})[:-1],
        "two values": b"\1\2",
        "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
        "4 gigabytes": b"\xc6\xff\xff\xff\xff",
        "no UTF-8": b"\xa1\xff",
        "an extension": msgpack.packb(msgpack.ExtType(1, b"x")),
        "never used": b"\xc1",
        "a well": b"\x91" * 5000,
    }
    script = """
import { decode } from "./page/msgpack.js";
answer(Object.fromEntries(given.map(([name, text]) => {
  try { return [name, decode(new Uint8Array(Buffer.from(text, "hex")))]; }
  catch (error) { return [name, error instanceof RangeError ? "RangeError" : "refused"]; }
})));
"""
    said = run_module(script, tmp_path, [[name, data.hex()] for name, data in bad.items()])
    assert said == dict.fromkeys(bad, "refused")


def test_what_the_wire_has_no_shape_for_is_not_written(tmp_path: Path) -> None:
    script = """
import { encode } from "./page/msgpack.js";
const circle = []; circle.push(circle);
answer([() => 1, Symbol("a"), new Date(), 2n ** 64n, -(2n ** 63n) - 1n, circle].map((value) => {
  try { encode(value); return "written"; } catch (error) { return error.name; }
}));
"""
    assert run_module(script, tmp_path) == ["TypeError"] * 6
