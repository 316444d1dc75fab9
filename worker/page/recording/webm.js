// A WebM file (Matroska, RFC 9559) of one VP8 or VP9 track with a constant frame rate.
//
// Duration and the index (Cues) stand in front of the pictures. Pictures lie in Blobs, which a
// browser may keep on disk; here stay the place and the time of each cluster.

import { ascii, float64, joined, uint } from "./bytes.js";

const ID = {
  EBML: 0x1a45dfa3, EBMLVersion: 0x4286, EBMLReadVersion: 0x42f7, EBMLMaxIDLength: 0x42f2,
  EBMLMaxSizeLength: 0x42f3, DocType: 0x4282, DocTypeVersion: 0x4287, DocTypeReadVersion: 0x4285,
  Segment: 0x18538067, SeekHead: 0x114d9b74, Seek: 0x4dbb, SeekID: 0x53ab, SeekPosition: 0x53ac,
  Info: 0x1549a966, TimestampScale: 0x2ad7b1, Duration: 0x4489, MuxingApp: 0x4d80,
  WritingApp: 0x5741, Tracks: 0x1654ae6b, TrackEntry: 0xae, TrackNumber: 0xd7, TrackUID: 0x73c5,
  TrackType: 0x83, FlagLacing: 0x9c, CodecID: 0x86, DefaultDuration: 0x23e383, Video: 0xe0,
  PixelWidth: 0xb0, PixelHeight: 0xba, Cues: 0x1c53bb6b, CuePoint: 0xbb, CueTime: 0xb3,
  CueTrackPositions: 0xb7, CueTrack: 0xf7, CueClusterPosition: 0xf1, Cluster: 0x1f43b675,
  Timestamp: 0xe7, SimpleBlock: 0xa3,
};
const MILLISECOND = 1_000_000; // in the nanoseconds that the file counts
const LONGEST = 30_000; // milliseconds of a cluster: a block's time in it has 16 bits
const NAME = "framewire";

export class WebmWriter {
  #video;
  #open = null; // the cluster that is being filled: {at, blocks}
  #clusters = []; // {blob, at, isKey}
  #frames = 0;

  /** @param {{width: number, height: number, fps: number, codec: "V_VP8"|"V_VP9"}} video */
  constructor(video) {
    this.#video = video;
  }

  get frames() {
    return this.#frames;
  }

  /**
   * @param {Uint8Array} data one encoded frame.
   * @param {{index: number, isKey: boolean}} about index: its place among those shown.
   */
  add(data, { index, isKey }) {
    const at = Math.round((1000 * index) / this.#video.fps);
    if (isKey || !this.#open || at - this.#open.at > LONGEST) {
      this.#close();
      this.#open = { at, isKey, blocks: [element("Timestamp", number(at))] };
    }
    const head = [0x81, uint(2, at - this.#open.at), isKey ? 0x80 : 0];
    this.#open.blocks.push(element("SimpleBlock", head, data));
    this.#frames += 1;
  }

  #close() {
    if (!this.#open) return;
    const { at, isKey, blocks } = this.#open;
    const length = blocks.reduce((sum, block) => sum + block.length, 0);
    this.#clusters.push({ at, isKey, blob: new Blob([start("Cluster", length), ...blocks]) });
    this.#open = null;
  }

  /** The file of all that was added. */
  file() {
    this.#close();
    const clusters = this.#clusters;
    const head = element("EBML",
      element("EBMLVersion", number(1)), element("EBMLReadVersion", number(1)),
      element("EBMLMaxIDLength", number(4)), element("EBMLMaxSizeLength", number(8)),
      element("DocType", ascii("webm")), element("DocTypeVersion", number(2)),
      element("DocTypeReadVersion", number(2)));
    const front = this.#front();
    const length = clusters.reduce((sum, { blob }) => sum + blob.size, front.length);
    const parts = [head, start("Segment", length), front, ...clusters.map(({ blob }) => blob)];
    return new Blob(parts, { type: "video/webm" });
  }

  /** All of the segment but its clusters; every position in it has eight bytes. */
  #front() {
    const info = this.#info();
    const tracks = this.#tracks();
    const index = (first) => {
      let at = first;
      const points = [];
      for (const { blob, at: time, isKey } of this.#clusters) {
        if (isKey) points.push(cuePoint(time, at));
        at += blob.size;
      }
      return element("Cues", points);
    };
    const seek = (...at) => element("SeekHead", ["Info", "Tracks", "Cues"].map((name, place) =>
      element("Seek", element("SeekID", idOf(name)), element("SeekPosition", uint(8, at[place])))));
    const at = [seek(0, 0, 0).length];
    at.push(at[0] + info.length);
    at.push(at[1] + tracks.length);
    const first = at[2] + index(0).length;
    return joined(seek(...at), info, tracks, index(first));
  }

  #info() {
    return element("Info",
      element("TimestampScale", number(MILLISECOND)),
      element("Duration", float64((1000 * this.#frames) / this.#video.fps)),
      element("MuxingApp", ascii(NAME)), element("WritingApp", ascii(NAME)));
  }

  #tracks() {
    const { width, height, fps, codec } = this.#video;
    return element("Tracks", element("TrackEntry",
      element("TrackNumber", number(1)), element("TrackUID", number(1)),
      element("TrackType", number(1)), element("FlagLacing", number(0)),
      element("CodecID", ascii(codec)),
      element("DefaultDuration", number(Math.round((1000 * MILLISECOND) / fps))),
      element("Video",
        element("PixelWidth", number(width)), element("PixelHeight", number(height)))));
  }
}

function cuePoint(time, at) {
  return element("CuePoint", element("CueTime", number(time)), element("CueTrackPositions",
    element("CueTrack", number(1)), element("CueClusterPosition", uint(8, at))));
}

function element(name, ...content) {
  const body = joined(content);
  return joined(start(name, body.length), body);
}

function start(name, length) {
  return joined(idOf(name), sizeOf(length));
}

function idOf(name) {
  return number(ID[name]);
}

/** A length in as few bytes as it takes: as many leading zeros as further bytes, then a one. */
function sizeOf(length) {
  let size = 1;
  while (length >= 2 ** (7 * size) - 1) size += 1;
  return uint(size, BigInt(length) | (1n << BigInt(7 * size)));
}

function number(value) {
  let size = 1;
  while (value >= 256 ** size) size += 1;
  return uint(size, value);
}
