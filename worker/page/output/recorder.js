// Everything that is received, on its way into a video file.

import { Recording } from "../recording/recording.js";

const BEHIND = 16; // frames to encode that are worth a word

export class Recorder {
  #container;
  #fps;
  #recording = null;
  #note = "";

  /** @param fps at which the file plays. */
  constructor(container, fps) {
    this.#container = container;
    this.#fps = fps;
  }

  /** Frames of the recording under way. */
  get frames() {
    return this.#recording?.frames ?? 0;
  }

  /** What is shown of it. */
  get said() {
    if (!this.#recording) return "–";
    const waiting = this.#recording.waiting > BEHIND ? ` · ${this.#recording.waiting} to encode` : "";
    return `${this.frames} frames · ${this.#container}${waiting}`;
  }

  /** The kind of file, from the next recording on. */
  setContainer(container) {
    this.#container = container;
    if (!this.frames) this.begin();
  }

  /** Begin another; what the last one holds is gone. */
  begin() {
    this.#recording?.discard();
    this.#recording = new Recording({ container: this.#container, fps: this.#fps });
  }

  add(jpeg) {
    this.#recording?.add(jpeg);
  }

  /**
   * The file of what came so far; the recording goes on.
   *
   * @returns {Promise<{blob: Blob, extension: string, frames: number, note: string}>}
   * @throws {Error} in words: there is none.
   */
  async file() {
    if (!this.frames) throw new Error("No frame was received yet.");
    return this.#recording.file();
  }
}
