// An MP4 file (ISO/IEC 14496-12 and -15) of one H.264 track with a constant frame rate.
//
// The index stands in front of the pictures, so a player can begin, and seek, without the end of
// the file. Pictures lie in Blobs, which a browser may keep on disk; here stay a few numbers each.

import { joined, uint, uint32s } from "./bytes.js";

const TICKS = 1000; // a frame lasts this many; the time scale is TICKS × fps
const MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000].map((value) => uint(4, value));
const LARGEST = 0xffffffff;

export class Mp4Writer {
  #size;
  #timescale;
  #open = []; // pictures since the last key frame
  #blobs = []; // {blob, frames, description}: a chunk of the file each
  #descriptions = []; // avcC boxes: one for each set-up of the encoder that differs
  #current = 0; // of the descriptions
  #sizes = [];
  #shown = []; // in which place each frame is shown, in the order in which they are stored
  #keys = []; // numbers of key frames, from 1

  /** @param {{width: number, height: number, fps: number}} video */
  constructor({ width, height, fps }) {
    this.#size = [uint(2, width), uint(2, height)];
    this.#timescale = Math.max(1, Math.round(TICKS * fps));
  }

  get frames() {
    return this.#sizes.length;
  }

  /**
   * @param {Uint8Array} data one encoded frame.
   * @param {{index: number, isKey: boolean, description?: Uint8Array}} about index: its place among
   *   those shown; description: the avcC box's content, wherever the encoder tells one.
   */
  add(data, { index, isKey, description }) {
    if (isKey || description) this.#close();
    if (description) {
      this.#current = this.#descriptions.findIndex((known) => equal(known, description));
      if (this.#current < 0) this.#current = this.#descriptions.push(description) - 1;
    }
    this.#open.push(data);
    this.#sizes.push(data.length);
    this.#shown.push(index);
    if (isKey) this.#keys.push(this.#sizes.length);
  }

  #close() {
    if (!this.#open.length) return;
    const chunk = { blob: new Blob(this.#open), frames: this.#open.length };
    this.#blobs.push({ ...chunk, description: this.#current });
    this.#open = [];
  }

  /** The file of all that was added. */
  file() {
    this.#close();
    const length = this.#blobs.reduce((sum, { blob }) => sum + blob.size, 0);
    const type = box("ftyp", "isom", uint(4, 0x200), "isom", "iso2", "avc1", "mp41");
    const isLong = length + 16 > LARGEST;
    const head = isLong ? [uint(4, 1), "mdat", uint(8, length + 16)] : [uint(4, length + 8), "mdat"];
    const mdat = joined(head);
    const before = type.length + mdat.length;
    const wide = length + 4 * this.#sizes.length + before + 65536 > LARGEST;
    const index = this.#moov(0, wide).length; // the same for all offsets
    const moov = this.#moov(before + index, wide);
    return new Blob([type, moov, mdat, ...this.#blobs.map(({ blob }) => blob)], { type: "video/mp4" });
  }

  #moov(first, wide) {
    const duration = TICKS * this.#sizes.length;
    const times = [uint(8, 0), uint(8, 0)]; // made and changed: not told
    return box(
      "moov",
      full("mvhd", 1, 0, times, uint(4, this.#timescale), uint(8, duration), uint(4, 0x10000),
        uint(2, 0x100), uint(10, 0), MATRIX, uint(24, 0), uint(4, 2)),
      box("trak",
        full("tkhd", 1, 3, times, uint(4, 1), uint(4, 0), uint(8, duration), uint(16, 0), MATRIX,
          this.#size.map((side) => [side, uint(2, 0)])),
        box("mdia",
          full("mdhd", 1, 0, times, uint(4, this.#timescale), uint(8, duration),
            uint(2, 0x55c4), uint(2, 0)), // 0x55c4: no language
          full("hdlr", 0, 0, uint(4, 0), "vide", uint(12, 0), "video\0"),
          box("minf",
            full("vmhd", 0, 1, uint(8, 0)),
            box("dinf", full("dref", 0, 0, uint(4, 1), full("url ", 0, 1))),
            this.#table(first, wide)))),
    );
  }

  #table(first, wide) {
    const offsets = [];
    let at = first;
    for (const { blob } of this.#blobs) {
      offsets.push(at);
      at += blob.size;
    }
    const count = this.#sizes.length;
    return box(
      "stbl",
      full("stsd", 0, 0, uint(4, this.#descriptions.length), this.#descriptions.map((each) => this.#avc1(each))),
      full("stts", 0, 0, uint(4, 1), uint(4, count), uint(4, TICKS)),
      this.#order(),
      full("stss", 0, 0, uint(4, this.#keys.length), uint32s(this.#keys)),
      this.#chunks(),
      full("stsz", 0, 0, uint(4, 0), uint(4, count), uint32s(this.#sizes)),
      wide
        ? full("co64", 0, 0, uint(4, offsets.length), offsets.map((offset) => uint(8, offset)))
        : full("stco", 0, 0, uint(4, offsets.length), uint32s(offsets)),
    );
  }

  #avc1(description) {
    return box("avc1", uint(6, 0), uint(2, 1), uint(16, 0), this.#size, uint(4, 0x480000),
      uint(4, 0x480000), uint(4, 0), uint(2, 1), uint(32, 0), uint(2, 24), uint(2, 0xffff),
      box("avcC", description));
  }

  /** When a frame is shown relative to its being decoded; nothing where the order is the same. */
  #order() {
    const moves = this.#shown.map((place, stored) => TICKS * (place - stored));
    if (moves.every((move) => move === 0)) return [];
    const runs = [];
    for (const move of moves) {
      if (runs.at(-1)?.move === move) runs.at(-1).frames += 1;
      else runs.push({ move, frames: 1 });
    }
    const entries = runs.map(({ move, frames }) => [uint(4, frames), uint(4, move)]);
    return full("ctts", 1, 0, uint(4, runs.length), entries);
  }

  #chunks() {
    const runs = [];
    this.#blobs.forEach(({ frames, description }, index) => {
      const last = runs.at(-1);
      if (last?.frames === frames && last.description === description) return;
      runs.push({ first: index + 1, frames, description });
    });
    const entries = runs.flatMap(({ first, frames, description }) => [first, frames, description + 1]);
    return full("stsc", 0, 0, uint(4, runs.length), uint32s(entries));
  }
}

function box(type, ...content) {
  const body = joined(content);
  return joined(uint(4, body.length + 8), type, body);
}

function full(type, version, flags, ...content) {
  return box(type, uint(1, version), uint(3, flags), content);
}

function equal(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
