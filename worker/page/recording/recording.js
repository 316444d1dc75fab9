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
  #isWorking = false;
  #isGone = false;
  #handled = 0; // of those that were added
  #wakes = []; // of those who wait for another

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
    if (this.#isGone) throw new Error(ENDED);
    this.#frames += 1;
    if (this.#error) {
      this.#handled += 1;
      return;
    }
    this.#waiting.push(jpeg instanceof Blob ? jpeg : new Blob([jpeg], { type: "image/jpeg" }));
    this.#work();
  }

  /**
   * The file of all that was added until now, once it is encoded; the recording goes on.
   *
   * @returns {Promise<{blob: Blob, extension: string, frames: number, note: string}>} frames: in
   *   the file: all that were added, unless `note` says more.
   * @throws {Error} there is no frame, or this browser cannot encode video at all.
   */
  async file() {
    const until = this.#frames;
    while (this.#handled < until && !this.#isGone) await this.#next();
    if (this.#isGone) throw new Error(ENDED);
    const { blob, frames } = await this.#made();
    if (!frames) throw this.#error ?? new Error("no frame was received yet");
    return { blob, extension: blob.type.split("/")[1], frames, note: this.note };
  }

  /** Let go of everything. */
  discard() {
    this.#isGone = true;
    this.#waiting = [];
    this.#sink?.close();
    this.#sink = null;
    this.#wake();
  }

  async #made() {
    if (!this.#sink) return { frames: 0 };
    try {
      return await this.#sink.file();
    } catch (error) {
      this.#fail(error);
      return this.#sink.written();
    }
  }

  /** What was encoded so far can still be had. */
  #fail(error) {
    this.#error = error;
    this.#note = `The recording ends after ${this.#sink?.frames ?? 0} frames: ${error.message}.`;
    this.#handled += this.#waiting.splice(0).length;
  }

  #next() {
    return new Promise((resolve) => this.#wakes.push(resolve));
  }

  #wake() {
    this.#wakes.splice(0).forEach((resolve) => resolve());
  }

  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    while (this.#waiting.length) {
      await this.#handle(this.#waiting.shift());
      this.#handled += 1;
      this.#wake();
    }
    this.#isWorking = false;
  }

  async #handle(jpeg) {
    const bitmap = await createImageBitmap(jpeg).catch(() => null);
    if (bitmap === null) {
      this.#unreadable += 1;
      return;
    }
    try {
      await this.#encode(jpeg, bitmap);
    } catch (error) {
      this.#fail(error);
    } finally {
      bitmap.close();
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
        "the recording may lack frames, takes as long as it plays, its length may be unknown, and " +
        "each download begins where the last one ended." +
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
