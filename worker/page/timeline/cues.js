// A timeline as what is sent: the params of its beginning, and a change at each frame that one of
// its entries begins with. Knows no socket.

import { heaviest } from "./file.js";

const HELD = 60; // that a worker is given beforehand; it holds a few more

/** What an entry shows, as a map of the wire. */
export function shownOf(prompts) {
  const plain = { prompt: heaviest(prompts) };
  return prompts.length > 1 ? { ...plain, prompts: prompts.map(({ text, weight }) => ({ text, weight })) } : plain;
}

/**
 * @param entries as of `readTimeline`.
 * @param shape what `/page.json` says of blocks and frames.
 * @returns {{params: object, cues: object[]}} cues: maps of the wire with `at_frame`.
 */
export function cuesOf(entries, { first_block_frames: first, block_frames: later, fps }) {
  let seconds = 0;
  const cues = entries.map(({ prompts, steps, seconds: lasts }) => {
    const cue = { ...shownOf(prompts), interp_steps: steps, at_frame: Math.round(seconds * fps) };
    seconds += lasts;
    return cue;
  });
  const frames = Math.max(1, Math.round(seconds * fps));
  const blocks = frames <= first ? 1 : 1 + Math.ceil((frames - first) / later);
  const { at_frame: _, interp_steps: __, ...opening } = cues[0];
  return { params: { ...opening, num_blocks: blocks }, cues: cues.slice(1) };
}

/** Sends cues in time: some beforehand, where the server holds them, the others as frames come. */
export class CuePlayer {
  #cues;
  #holds;
  #sent;

  /** @param {boolean} holds whether the server holds a map until its `at_frame`. */
  constructor(cues, holds) {
    this.#cues = cues;
    this.#holds = holds;
    this.#sent = holds ? Math.min(HELD, cues.length) : 0;
  }

  /** Maps for the params' `steers`. */
  get beforehand() {
    return this.#cues.slice(0, this.#sent);
  }

  /** The maps to send now that frame `index` came. */
  came(index) {
    const due = [];
    const until = (cue) => (this.#holds ? this.#cues[this.#sent - HELD].at_frame : cue.at_frame);
    while (this.#sent < this.#cues.length && until(this.#cues[this.#sent]) <= index) {
      const { at_frame: frame, ...map } = this.#cues[this.#sent];
      due.push(this.#holds ? { ...map, at_frame: frame } : map);
      this.#sent += 1;
    }
    return due;
  }
}
