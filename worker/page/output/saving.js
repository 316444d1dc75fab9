// What can be had as a file: all frames as a video, one frame as it came, the session as a timeline.
// And the stills of the strip, which are shown in the place of the stream.

import { byId, save } from "../dom.js";

export class Saving {
  #recorder;
  #playback;
  #session;
  #say;

  /**
   * @param parts.session a SessionFile.
   * @param parts.say told in words, {title, reason}, what there is to know of a file.
   */
  constructor({ recorder, playback, session, say }) {
    this.#recorder = recorder;
    this.#playback = playback;
    this.#session = session;
    this.#say = say;
  }

  async download() {
    try {
      const { blob, extension, frames, note } = await this.#recorder.file();
      save(blob, `framewire-${this.#session.seed}-${frames}-frames.${extension}`);
      if (note) this.#say({ title: "About this file", reason: note });
    } catch (error) {
      this.#say({ title: "There is no file", reason: error.message });
    }
  }

  /** The frame that is shown, as it came. */
  still() {
    const { shown } = this.#playback;
    if (shown) save(shown.blob, `framewire-${String(shown.number).padStart(6, "0")}.jpg`);
  }

  /** This session as a timeline, to be made again. */
  async keep() {
    save(await this.#session.file(), `framewire-${this.#session.seed}-session.json`);
  }

  /** Show a frame of the strip. */
  async show({ blob, number }) {
    await this.#playback.showStill(blob);
    byId("still-note").textContent = `frame ${number}`;
    byId("still-note").hidden = byId("live-again").hidden = false;
  }

  backToLive() {
    byId("still-note").hidden = byId("live-again").hidden = true;
    this.#playback.live();
  }
}
