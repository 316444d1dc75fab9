// How many frames came and were shown, and how many a second.

import { Rate } from "./rate.js";

export class Counts {
  received = 0;
  played = 0;
  #in = new Rate();
  #out = new Rate();

  came(now) {
    this.received += 1;
    this.#in.note(now);
  }

  shown(now) {
    this.played += 1;
    this.#out.note(now);
  }

  clear() {
    this.received = this.played = 0;
    this.#in.clear();
    this.#out.clear();
  }

  /** As `Status.numbers` shows them. */
  at(now) {
    const { received, played } = this;
    return { received, played, fpsIn: this.#in.perSecond(now), fpsOut: this.#out.perSecond(now) };
  }
}
