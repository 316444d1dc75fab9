// What both containers are put together from: big-endian numbers and lists of bytes.

/** One array of numbers, of other arrays, of texts (ASCII). */
export function joined(...parts) {
  const flat = parts.flat(Infinity).map((part) => {
    if (part instanceof Uint8Array) return part;
    return typeof part === "string" ? ascii(part) : Uint8Array.of(part);
  });
  const whole = new Uint8Array(flat.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of flat) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function ascii(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** A number of `size` bytes, big-endian; a negative one as two's complement. */
export function uint(size, value) {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(8 * size, BigInt(value));
  for (let at = size - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** Many numbers of four bytes each: the tables of a long recording, without a garbage heap. */
export function uint32s(values) {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setUint32(4 * index, value));
  return bytes;
}

export function float64(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}
