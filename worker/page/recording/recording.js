// A recording of everything received: each JPEG that comes is exactly one frame of the file.
//
// Driven by what arrives, not by what is shown. Encoding may lag behind: JPEGs wait as Blobs, which
// a browser may keep on disk, and one at a time is decoded. Knows neither socket nor player.

import { openEncoder } from "./encoder.js";
import { openRecorder } from "./media_recorder.js";

const ENDED = "the recording has ended";
const OTHER = { mp4: "webm", webm: "mp4" };
const NAMES = { mp4: "MP4", webm: "WebM" };

export class Recording {
  #container;
  #fps;
  #waiting = [];
  #frames = 0;
  #unreadable = 0;
  #sink = null;
  #note = "";
  #error = null;
  #working = null;
  #isOver = false; // no more is added
  #isGone = false; // nothing is kept

  /** @param {{container?: "mp4"|"webm", fps?: number}} options fps: of the file. */
  constructor({ container = "mp4", fps = 16 } = {}) {
    this.#container = container;
    this.#fps = fps;
  }

  /** How many were added. */
  get frames() {
    return this.#frames;
  }

  /** How many of these wait to be encoded. */
  get waiting() {
    return this.#waiting.length;
  }

  /** In words, what the file will lack or how it differs from what was asked for; may be empty. */
  get note() {
    const missing = this.#unreadable
      ? `${this.#unreadable} of the pictures could not be read and are left out.`
      : "";
    return [this.#note, missing].filter(Boolean).join(" ");
  }

  /**
   * The next frame. Returns at once.
   *
   * The first picture gives the file its size; others are fitted into it, whole and on black.
   *
   * @param {Blob|Uint8Array|ArrayBuffer} jpeg
   */
  add(jpeg) {
    if (this.#isOver) throw new Error(ENDED);
    this.#frames += 1;
    if (this.#error) return;
    this.#waiting.push(jpeg instanceof Blob ? jpeg : new Blob([jpeg], { type: "image/jpeg" }));
    this.#work();
  }

  /**
   * The file of all that was added, once it is encoded; it ends the recording.
   *
   * @returns {Promise<{blob: Blob, extension: string, frames: number, note: string}>} frames: in
   *   the file, as many as were added unless `note` says more.
   * @throws {Error} there is no frame, or this browser cannot encode video at all.
   */
  async finish() {
    this.#isOver = true;
    try {
      await this.#work();
      if (this.#isGone) throw new Error(ENDED);
      const blob = await this.#sink?.file();
      const frames = this.#sink?.frames;
      if (!frames) throw this.#error ?? new Error("no frame was received yet");
      return { blob, extension: blob.type.split("/")[1], frames, note: this.note };
    } finally {
      this.discard();
    }
  }

  /** Let go of everything. */
  discard() {
    this.#isOver = this.#isGone = true;
    this.#waiting = [];
    this.#sink?.close();
    this.#sink = null;
  }

  #work() {
    this.#working ??= this.#encodeAll().finally(() => { this.#working = null; });
    return this.#working;
  }

  async #encodeAll() {
    while (this.#waiting.length && !this.#error) {
      const jpeg = this.#waiting.shift();
      const bitmap = await createImageBitmap(jpeg).catch(() => null);
      if (bitmap === null) {
        this.#unreadable += 1;
        continue;
      }
      try {
        await this.#encode(jpeg, bitmap);
      } catch (error) {
        this.#error = error;
        this.#note = `The recording ends after ${this.#sink?.frames ?? 0} frames: ${error.message}.`;
        this.#waiting = [];
      } finally {
        bitmap.close();
      }
    }
  }

  async #encode(jpeg, bitmap) {
    if (this.#isGone) return;
    const sink = this.#sink ?? (await this.#open(bitmap));
    if (this.#isGone) sink.close();
    else await (this.#sink = sink).add(jpeg, bitmap);
  }

  /** What encodes, as near to what was asked for as this browser can. */
  async #open({ width, height }) {
    const size = { width, height };
    for (const container of [this.#container, OTHER[this.#container]]) {
      const encoder = await openEncoder(container, size, this.#fps);
      if (encoder === null) continue;
      if (container !== this.#container) this.#note = this.#otherFile();
      return encoder;
    }
    for (const container of [this.#container, OTHER[this.#container]]) {
      const recorder = openRecorder(container, size, this.#fps);
      if (recorder === null) continue;
      this.#note =
        "This browser cannot encode frame by frame (WebCodecs, which needs https:// or localhost): " +
        "the recording may lack frames, takes as long as it plays, and its length may be unknown." +
        (container === this.#container ? "" : ` ${this.#otherFile()}`);
      return recorder;
    }
    throw new Error("this browser cannot encode video");
  }

  #otherFile() {
    const [asked, other] = [NAMES[this.#container], NAMES[OTHER[this.#container]]];
    return `This browser cannot encode what ${asked} holds: the file is ${other}.`;
  }
}
