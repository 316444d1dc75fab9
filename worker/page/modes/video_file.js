// A video file, played in a loop.

import { make } from "../dom.js";
import { FileDrop } from "./file_drop.js";

export class VideoFile {
  #changed;
  #url = "";

  constructor(changed) {
    this.#changed = changed;
    this.title = "video";
    this.note = "";
    this.element = make("video", { muted: true, loop: true, playsInline: true, controls: true });
    this.element.setAttribute("aria-label", "video");
    this.said = make("p", { className: "note" });
    const drop = new FileDrop("Video file", "video/*", (file) => this.#take(file));
    this.controls = [drop.element, this.said];
  }

  resized() {}

  async open() {
    if (!this.#url) throw new Error("Choose a video file first.");
    await this.element.play();
  }

  close() {
    this.element.pause();
  }

  picture() {
    const image = this.element;
    if (!this.#url || !image.videoWidth) return null;
    return { image, width: image.videoWidth, height: image.videoHeight };
  }

  async #take(file) {
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(file);
    this.element.src = this.#url;
    this.said.textContent = file.name;
    try {
      await this.element.play();
    } catch {
      this.said.textContent = `${file.name}: this browser cannot play it`;
      URL.revokeObjectURL(this.#url);
      this.#url = "";
    }
    this.#changed();
  }
}
