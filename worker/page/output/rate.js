// How often something happens: events a second over the last few.

const WINDOW_MS = 3000;

export class Rate {
  #times = [];

  note(now) {
    this.#times.push(now);
    if (this.#times.length > 4096) this.#trim(now);
  }

  /** Events a second, or 0. */
  perSecond(now) {
    this.#trim(now);
    return (1000 * this.#times.length) / WINDOW_MS;
  }

  clear() {
    this.#times = [];
  }

  #trim(now) {
    const first = this.#times.findIndex((time) => now - time <= WINDOW_MS);
    this.#times.splice(0, first < 0 ? this.#times.length : first);
  }
}
