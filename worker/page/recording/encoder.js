// The browser's video encoder (WebCodecs) at work on JPEGs, into one of our files.

import { Mp4Writer } from "./mp4.js";
import { WebmWriter } from "./webm.js";

const QUEUED = 3; // frames in the encoder, beyond the one it works on
const KEY_SECONDS = 2; // a player can seek this closely
const BITS_A_PIXEL = 0.3;
const LEAST_BITS = 1_000_000;
const TRIES = 3; // to go on with a new encoder, without a frame from it
// What a level of H.264 allows (Table A-1), in macroblocks of 16×16: a second, and a frame.
const LEVELS = [
  [0x1f, 108_000, 3_600], [0x28, 245_760, 8_192], [0x32, 589_824, 22_080],
  [0x33, 983_040, 36_864], [0x34, 2_073_600, 36_864],
];

/**
 * An encoder that this browser has, for a file of that kind; null if there is none.
 *
 * @param {"mp4"|"webm"} container
 * @param {{width: number, height: number}} size of the first picture.
 */
export async function openEncoder(container, size, fps) {
  if (typeof VideoEncoder === "undefined") return null;
  const video = { width: even(size.width), height: even(size.height), fps };
  for (const { codec, Writer, more } of candidates(container, video)) {
    const bitrate = Math.max(LEAST_BITS, Math.round(video.width * video.height * fps * BITS_A_PIXEL));
    const { width, height } = video;
    // With "realtime" an encoder may leave out frames.
    const config = { codec, width, height, bitrate, framerate: fps, latencyMode: "quality", ...more.config };
    const { supported } = await VideoEncoder.isConfigSupported(config).catch(() => ({}));
    if (supported) return new Encoder(config, new Writer({ ...video, ...more.track }));
  }
  return null;
}

function candidates(container, { width, height, fps }) {
  if (container === "webm") {
    return [
      { codec: "vp09.00.40.08", Writer: WebmWriter, more: { track: { codec: "V_VP9" } } },
      { codec: "vp8", Writer: WebmWriter, more: { track: { codec: "V_VP8" } } },
    ];
  }
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const fits = ([, second, frame]) => blocks <= frame && blocks * fps <= second;
  const [level] = LEVELS.find(fits) ?? LEVELS.at(-1);
  return ["6400", "4d00", "42e0"].map((profile) => ({
    codec: `avc1.${profile}${level.toString(16)}`,
    Writer: Mp4Writer,
    more: { config: { avc: { format: "avc" } } },
  }));
}

const even = (side) => side + (side % 2); // H.264 and VP9 halve the sides for colours

class Encoder {
  #config;
  #writer;
  #encoder = null;
  #inside = new Map(); // JPEGs of frames that the encoder has not given out, by their number
  #next = 0;
  #keyAfter = 0;
  #failures = 0;
  #beginning = null;
  #reason = "";
  #wake = () => {};
  #canvas = null;

  constructor(config, writer) {
    this.#config = config;
    this.#writer = writer;
  }

  get frames() {
    return this.#writer.frames;
  }

  /**
   * Encode one JPEG as the next frame; there is room for another, then.
   *
   * @param {Blob} jpeg
   * @param {ImageBitmap} bitmap the same, decoded; it is closed as soon as it was taken.
   * @throws {Error} the browser's encoder fails, again and again.
   */
  async add(jpeg, bitmap) {
    await this.#ready();
    this.#inside.set(this.#next, jpeg);
    this.#encode(this.#next, bitmap);
    this.#next += 1;
    while (this.#isRunning() && this.#encoder.encodeQueueSize > QUEUED) await this.#change();
  }

  /**
   * The file of all that was added until now, and how many frames it has.
   *
   * @throws {Error} the browser's encoder fails, again and again: there is what was `written`.
   */
  async file() {
    const until = this.#next;
    while (this.#first() < until) {
      await this.#ready();
      await this.#encoder.flush().catch(() => {}); // it was lost: another takes its place
    }
    return this.written();
  }

  /** The file of what came out of the encoder, as it is. */
  written() {
    return { blob: this.#writer.file(), frames: this.#writer.frames };
  }

  close() {
    if (this.#isRunning()) this.#encoder.close();
    this.#inside.clear();
    this.#wake();
  }

  #isRunning() {
    return this.#encoder?.state === "configured";
  }

  #change() {
    return new Promise((resolve) => { this.#wake = resolve; });
  }

  /** The number of the first frame that the encoder has not given out. */
  #first() {
    const [first] = this.#inside.keys();
    return first ?? Infinity;
  }

  /** An encoder that works. Browsers take one away from a page that does not use it for a while. */
  async #ready() {
    if (this.#isRunning() && !this.#beginning) return;
    this.#beginning ??= this.#begin().finally(() => { this.#beginning = null; });
    await this.#beginning;
  }

  async #begin() {
    while (!this.#isRunning()) {
      this.#start();
      for (const [index, jpeg] of this.#inside) {
        const bitmap = await createImageBitmap(jpeg);
        if (this.#isRunning()) this.#encode(index, bitmap);
        else bitmap.close();
      }
    }
  }

  #start() {
    if (this.#failures === TRIES) throw new Error(`the browser's encoder fails: ${this.#reason}`);
    this.#failures += this.#encoder ? 1 : 0;
    const encoder = new VideoEncoder({
      output: (chunk, about) => this.#take(chunk, about),
      error: (error) => {
        this.#reason = error.message;
        this.#wake();
      },
    });
    encoder.addEventListener("dequeue", () => this.#wake());
    encoder.configure(this.#config);
    this.#encoder = encoder;
    this.#keyAfter = 0;
  }

  #encode(index, bitmap) {
    const { width, height, framerate } = this.#config;
    const time = (number) => Math.round((1e6 * number) / framerate);
    const fits = bitmap.width === width && bitmap.height === height;
    const frame = new VideoFrame(fits ? bitmap : this.#fitted(bitmap), {
      timestamp: time(index), duration: time(index + 1) - time(index), alpha: "discard",
    });
    bitmap.close();
    const keyFrame = this.#keyAfter <= 0;
    this.#keyAfter = (keyFrame ? Math.round(KEY_SECONDS * framerate) : this.#keyAfter) - 1;
    if (this.#isRunning()) this.#encoder.encode(frame, { keyFrame });
    frame.close();
  }

  /** A picture of another size, whole and in its shape, on black. One pixel more is stretched. */
  #fitted(bitmap) {
    const { width, height } = this.#config;
    this.#canvas ??= new OffscreenCanvas(width, height);
    const context = this.#canvas.getContext("2d", { alpha: false });
    const scale = Math.min(width / bitmap.width, height / bitmap.height);
    const fill = (side, own) => (side - own * scale < 2 ? side : Math.round(own * scale));
    const [across, down] = [fill(width, bitmap.width), fill(height, bitmap.height)];
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, (width - across) >> 1, (height - down) >> 1, across, down);
    return this.#canvas;
  }

  #take(chunk, about) {
    const index = Math.round((chunk.timestamp * this.#config.framerate) / 1e6);
    if (!this.#inside.delete(index)) return; // of an encoder before this one
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    const description = about?.decoderConfig?.description;
    this.#writer.add(data, {
      index,
      isKey: chunk.type === "key",
      description: description && bytesOf(description),
    });
    this.#failures = 0;
  }
}

function bytesOf(source) {
  if (!ArrayBuffer.isView(source)) return new Uint8Array(source.slice(0));
  return new Uint8Array(source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength));
}
