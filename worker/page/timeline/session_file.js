// A session on its way into a timeline's file: exactly, where the worker tells all of it, or else by
// the frames at which prompts were seen to change.

import { entriesOf, writeTimeline } from "./file.js";
import { Keeper } from "./keeper.js";

export class SessionFile {
  #page;
  #keeper = new Keeper();
  #settings = {};
  #prompts = new Map(); // by their version in the stream under way
  #shown = []; // {number, prompt}
  #frames = 0;

  /** @param page what `/page.json` says. */
  constructor(page) {
    this.#page = page;
  }

  /** Another session begins. */
  clear() {
    this.#keeper.clear();
    this.#shown = [];
    this.#frames = 0;
  }

  /** The seed of what was begun last. */
  get seed() {
    return this.#settings.seed;
  }

  /** With what it is begun. */
  settled(params) {
    this.#settings = params;
    this.#prompts.clear();
  }

  /** @param {Uint8Array|undefined} startFrame the picture that the stream begins with. */
  began(started, startFrame) {
    this.#settings = { ...this.#settings, seed: started.seed };
    this.#keeper.began(started, startFrame);
    this.#prompts = new Map([[1, started.params?.prompt]]);
  }

  steered(said) {
    this.#keeper.steered(said);
    if (said.values?.prompt) this.#prompts.set(said.prompt_version, said.values.prompt);
  }

  came() {
    this.#keeper.came();
    this.#frames += 1;
  }

  /** A prompt is seen from frame `number` of the session on. */
  shows(prompt, number) {
    this.#shown.push({ prompt, number });
  }

  /** The prompt of a version; undefined where the worker did not say. */
  promptOf(version) {
    return this.#prompts.get(version);
  }

  /** @returns {Promise<Blob>} */
  async file() {
    const { pieces } = this.#keeper;
    const entries = pieces.length ? entriesOf(pieces, this.#page) : this.#entries();
    const { width, height, seed, strength } = this.#settings;
    const text = await writeTimeline({ entries, settings: { width, height, seed, strength }, pieces });
    return new Blob([text], { type: "application/json" });
  }

  #entries() {
    return this.#shown
      .map(({ prompt, number }, index) => {
        const frames = (this.#shown[index + 1]?.number ?? this.#frames) - number;
        return { seconds: frames / this.#page.fps, prompts: [{ text: prompt, weight: 100 }], steps: undefined };
      })
      .filter(({ seconds }) => seconds > 0);
  }
}
