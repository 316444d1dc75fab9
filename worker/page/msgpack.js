// msgpack, as much of it as the wire uses: nil, booleans, numbers, text, bytes, lists and maps.

const MOST_DEEP = 32;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const UTF8 = new TextEncoder();
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes of a value. A number without a fraction is an int, any other a 64-bit float; a bigint
 * is an int. Uint8Array and ArrayBuffer are bin. A key of an object whose value is undefined is
 * left out.
 *
 * @returns {Uint8Array}
 * @throws {TypeError} a value that the wire has no shape for.
 */
export function encode(value) {
  const writer = new Writer();
  write(writer, value, 0);
  return writer.bytes();
}

/**
 * The value in some bytes. A map becomes an object without a prototype, bin a Uint8Array that
 * looks into the same memory, and an int beyond 2^53 a bigint.
 *
 * @param {Uint8Array|ArrayBuffer} data one whole value.
 * @throws {Error} they are not msgpack, or hold what the wire does not use.
 */
export function decode(data) {
  const reader = new Reader(data instanceof Uint8Array ? data : new Uint8Array(data));
  const value = read(reader, 0);
  if (reader.left) throw new Error(`msgpack: ${reader.left} bytes after the value`);
  return value;
}

class Writer {
  #data = new Uint8Array(256);
  #view = new DataView(this.#data.buffer);
  #length = 0;

  bytes() {
    return this.#data.slice(0, this.#length);
  }

  /** Room for `count` more; the offset at which they go. */
  #take(count) {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#data.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#data.length));
      larger.set(this.#data);
      this.#data = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  raw(bytes) {
    const at = this.#take(bytes.length);
    this.#data.set(bytes, at);
  }

  byte(value) {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  /** A tag, then a number by one of DataView's setters. */
  tagged(tag, setter, size, value) {
    const at = this.#take(1 + size);
    this.#view.setUint8(at, tag);
    this.#view[setter](at + 1, value);
  }
}

function write(writer, value, depth) {
  if (depth > MOST_DEEP) throw new TypeError(`msgpack: nested deeper than ${MOST_DEEP}`);
  if (value === null || value === undefined) writer.byte(0xc0);
  else if (typeof value === "boolean") writer.byte(value ? 0xc3 : 0xc2);
  else if (typeof value === "number") writeNumber(writer, value);
  else if (typeof value === "bigint") writeInt(writer, value);
  else if (typeof value === "string") writeText(writer, value);
  else if (value instanceof Uint8Array) writeBytes(writer, value);
  else if (value instanceof ArrayBuffer) writeBytes(writer, new Uint8Array(value));
  else if (Array.isArray(value)) {
    writeLength(writer, value.length, 0x90, 15, [0, 0xdc, 0xdd]);
    for (const each of value) write(writer, each, depth + 1);
  } else if (isPlain(value)) {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const present = entries.filter(([, each]) => each !== undefined);
    writeLength(writer, present.length, 0x80, 15, [0, 0xde, 0xdf]);
    for (const [key, each] of present) {
      write(writer, key, depth + 1);
      write(writer, each, depth + 1);
    }
  } else {
    throw new TypeError(`msgpack: no shape for ${Object.prototype.toString.call(value)}`);
  }
}

function isPlain(value) {
  if (value instanceof Map) return true;
  if (typeof value !== "object") return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function writeNumber(writer, value) {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) writeInt(writer, BigInt(value));
  else writer.tagged(0xcb, "setFloat64", 8, value);
}

function writeInt(writer, value) {
  const small = Number(value);
  if (value >= 0n) {
    if (value < 0x80n) writer.byte(small);
    else if (value < 0x100n) writer.tagged(0xcc, "setUint8", 1, small);
    else if (value < 0x10000n) writer.tagged(0xcd, "setUint16", 2, small);
    else if (value < 0x100000000n) writer.tagged(0xce, "setUint32", 4, small);
    else if (value < 1n << 64n) writer.tagged(0xcf, "setBigUint64", 8, value);
    else throw new TypeError(`msgpack: ${value} has more than 64 bits`);
  } else if (value >= -0x20n) writer.byte(small & 0xff);
  else if (value >= -0x80n) writer.tagged(0xd0, "setInt8", 1, small);
  else if (value >= -0x8000n) writer.tagged(0xd1, "setInt16", 2, small);
  else if (value >= -0x80000000n) writer.tagged(0xd2, "setInt32", 4, small);
  else if (value >= -(1n << 63n)) writer.tagged(0xd3, "setBigInt64", 8, value);
  else throw new TypeError(`msgpack: ${value} has more than 64 bits`);
}

function writeText(writer, value) {
  const bytes = UTF8.encode(value);
  writeLength(writer, bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
  writer.raw(bytes);
}

function writeBytes(writer, bytes) {
  writeLength(writer, bytes.length, 0, -1, [0xc4, 0xc5, 0xc6]);
  writer.raw(bytes);
}

/** The head of what has a length: within `fix` if at most `most`, or else tagged by its size. */
function writeLength(writer, length, fix, most, [tag8, tag16, tag32]) {
  if (length <= most) writer.byte(fix | length);
  else if (tag8 && length < 0x100) writer.tagged(tag8, "setUint8", 1, length);
  else if (length < 0x10000) writer.tagged(tag16, "setUint16", 2, length);
  else writer.tagged(tag32, "setUint32", 4, length);
}

class Reader {
  #data;
  #view;
  #at = 0;

  constructor(data) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get left() {
    return this.#data.length - this.#at;
  }

  #skip(count) {
    if (count > this.left) throw new Error("msgpack: the value is cut short");
    this.#at += count;
    return this.#at - count;
  }

  number(getter, size) {
    return this.#view[getter](this.#skip(size));
  }

  bytes(length) {
    const from = this.#skip(length);
    return this.#data.subarray(from, from + length);
  }
}

function read(reader, depth) {
  if (depth > MOST_DEEP) throw new Error(`msgpack: nested deeper than ${MOST_DEEP}`);
  const tag = reader.number("getUint8", 1);
  if (tag < 0x80) return tag;
  if (tag < 0x90) return readMap(reader, tag & 0x0f, depth);
  if (tag < 0xa0) return readList(reader, tag & 0x0f, depth);
  if (tag < 0xc0) return readText(reader, tag & 0x1f);
  if (tag >= 0xe0) return tag - 0x100;
  switch (tag) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: return reader.bytes(reader.number("getUint8", 1));
    case 0xc5: return reader.bytes(reader.number("getUint16", 2));
    case 0xc6: return reader.bytes(reader.number("getUint32", 4));
    case 0xca: return reader.number("getFloat32", 4);
    case 0xcb: return reader.number("getFloat64", 8);
    case 0xcc: return reader.number("getUint8", 1);
    case 0xcd: return reader.number("getUint16", 2);
    case 0xce: return reader.number("getUint32", 4);
    case 0xcf: return narrowed(reader.number("getBigUint64", 8));
    case 0xd0: return reader.number("getInt8", 1);
    case 0xd1: return reader.number("getInt16", 2);
    case 0xd2: return reader.number("getInt32", 4);
    case 0xd3: return narrowed(reader.number("getBigInt64", 8));
    case 0xd9: return readText(reader, reader.number("getUint8", 1));
    case 0xda: return readText(reader, reader.number("getUint16", 2));
    case 0xdb: return readText(reader, reader.number("getUint32", 4));
    case 0xdc: return readList(reader, reader.number("getUint16", 2), depth);
    case 0xdd: return readList(reader, reader.number("getUint32", 4), depth);
    case 0xde: return readMap(reader, reader.number("getUint16", 2), depth);
    case 0xdf: return readMap(reader, reader.number("getUint32", 4), depth);
    default: throw new Error(`msgpack: type 0x${tag.toString(16)} is not used on this wire`);
  }
}

function narrowed(value) {
  return -SAFE <= value && value <= SAFE ? Number(value) : value;
}

function readText(reader, length) {
  return TEXT.decode(reader.bytes(length));
}

function readList(reader, length, depth) {
  const list = [];
  for (let index = 0; index < length; index += 1) list.push(read(reader, depth + 1));
  return list;
}

function readMap(reader, length, depth) {
  const map = Object.create(null);
  for (let index = 0; index < length; index += 1) {
    const key = read(reader, depth + 1);
    map[key !== null && typeof key === "object" ? JSON.stringify(key) : key] = read(reader, depth + 1);
  }
  return map;
}
