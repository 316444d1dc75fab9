// How many pictures are on their way: sent, and no frame made from them yet. Knows no socket.
//
// A frame that names a picture answers for it and all before it, dropped ones included. Frames
// that name none answer for one each.

export class Unanswered {
  #ids = [];
  #count = 0;
  #named = false;

  /** @param {number} most that may be unanswered. */
  constructor(most) {
    this.most = most;
  }

  get count() {
    return this.#named ? this.#ids.length : this.#count;
  }

  get full() {
    return this.count >= this.most;
  }

  sent(id) {
    this.#ids.push(id);
    if (this.#ids.length > 4 * this.most) this.#ids.shift();
    this.#count += 1;
  }

  /** @param {string|null|undefined} id of the picture that a frame was made from. */
  answered(id) {
    if (typeof id === "string") {
      this.#named = true;
      const place = this.#ids.indexOf(id);
      if (place >= 0) this.#ids.splice(0, place + 1);
    }
    this.#count = Math.max(0, this.#count - 1);
  }

  /** Nothing came for long: what was sent was dropped, as much as a block needs. */
  forgive(pictures) {
    this.#ids.splice(0, pictures);
    this.#count = Math.max(0, this.#count - pictures);
  }
}
