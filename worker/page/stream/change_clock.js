// How long a change takes until it is seen: from Enter to the first frame drawn with it, and how
// much of that the model took. Knows no clock and no DOM: times are milliseconds of the caller's.

const APART = ["lane", "jpeg", "input_to_frame"];

export class ChangeClock {
  #asked = null;
  #version = 0; // of the prompt, in the frames that came
  #blocks = new Map(); // milliseconds that a block took the model
  #last = null;

  /** A prompt was sent. `first`: with the params of a stream. */
  asked(now, { first = false } = {}) {
    if (first) {
      this.#version = 0;
      this.#blocks.clear();
    }
    this.#asked = { at: now, above: this.#version };
  }

  arrived({ promptVersion }) {
    if (Number.isInteger(promptVersion)) this.#version = promptVersion;
  }

  /** A stream began anew on the other side: its prompts are counted from 1 again. */
  began() {
    this.#blocks.clear();
    this.#version = 0;
    if (this.#asked) this.#asked.above = 0;
  }

  /** A `block` event. */
  made({ block, ms }) {
    if (ms === null || typeof ms !== "object") return;
    this.#blocks.set(block, modelMs(ms));
    if (this.#blocks.size > 64) this.#blocks.delete(this.#blocks.keys().next().value);
    if (this.#last?.block === block) this.#last.model ??= this.#blocks.get(block);
  }

  /**
   * A frame was drawn. Whether it is the first one with the change: by its version, or where the
   * server tells none, by what is taken for the beginning of another prompt.
   */
  shown({ promptVersion, block, begins = false }, now) {
    const isNew = Number.isInteger(promptVersion) ? promptVersion > this.#asked?.above : begins;
    if (!this.#asked || !isNew) return false;
    this.#last = { total: now - this.#asked.at, block, model: this.#blocks.get(block) };
    this.#asked = null;
    return true;
  }

  /** Whether a change is on its way. */
  get pending() {
    return this.#asked !== null;
  }

  /** Milliseconds of the last change: {total, model, transport}; null before there was one. */
  get last() {
    if (this.#last === null) return null;
    const { total, model } = this.#last;
    if (model === undefined) return { total };
    const own = Math.min(model, total);
    return { total, model: own, transport: total - own };
  }
}

/** What a block took: its stages run on the lane or beside it, and then its frames are encoded. */
export function modelMs(ms) {
  const numbers = Object.entries(ms).filter(([, value]) => Number.isFinite(value));
  const stages = numbers.filter(([stage]) => !APART.includes(stage));
  const sum = stages.reduce((total, [, value]) => total + value, 0);
  const of = (stage) => (Number.isFinite(ms[stage]) ? ms[stage] : 0);
  return Math.max(of("lane"), sum) + of("jpeg");
}
