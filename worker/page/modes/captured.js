// A live picture that the browser captures: asked for on a click, given back when it is not needed.

import { make } from "../dom.js";

const NO_SECURE_CONTEXT =
  "A browser captures on https and localhost only: open this page as http://localhost:PORT, or " +
  "serve it with --ssl-certfile.";

export class Captured {
  #acquire;
  #changed;
  #stream = null;
  #opening = null; // while the browser asks
  #turn = 0; // of what is asked for; one that was closed meanwhile is given back
  #words;

  /**
   * @param acquire asks the browser for a MediaStream.
   * @param words {title, open, denied}
   * @param mirrored show and send it mirrored, as a mirror would.
   */
  constructor(acquire, words, changed, mirrored = false) {
    this.#acquire = acquire;
    this.#changed = changed;
    this.#words = words;
    this.mirrored = mirrored;
    this.title = words.title;
    this.element = make("video", { muted: true, playsInline: true, autoplay: true });
    this.element.classList.toggle("mirrored", mirrored);
    this.element.setAttribute("aria-label", words.title);
    const button = make("button", { type: "button", className: "small", textContent: `[ ${words.open} ]` });
    button.addEventListener("click", () => this.open().catch((error) => this.#say(error.message)));
    this.button = button;
    this.said = make("p", { className: "note" });
    this.controls = [button, this.said];
  }

  get note() {
    return navigator.mediaDevices ? "" : NO_SECURE_CONTEXT;
  }

  resized() {}

  /** Asks once, however often it is called meanwhile. */
  open() {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open() {
    if (this.#stream?.active) return;
    if (this.note) throw new Error(this.note);
    const turn = this.#turn;
    let stream;
    try {
      stream = await this.#acquire();
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? this.#words.denied : `${error.message || error.name}`);
    }
    if (turn !== this.#turn) {
      stop(stream);
      throw new Error("Something else was chosen meanwhile.");
    }
    this.#stream = stream;
    this.element.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => this.close());
    await this.element.play();
    this.#say("");
    this.button.hidden = true;
    this.#changed();
  }

  close() {
    this.#turn += 1;
    if (this.#stream) stop(this.#stream);
    this.#stream = this.element.srcObject = null;
    this.button.hidden = false;
    this.#changed();
  }

  picture() {
    const { element: image, mirrored } = this;
    if (!this.#stream || !image.videoWidth) return null;
    return { image, width: image.videoWidth, height: image.videoHeight, mirrored };
  }

  #say(words) {
    this.said.textContent = words;
  }
}

function stop(stream) {
  stream.getTracks().forEach((track) => track.stop());
}
