// Entries of a timeline as a list that can be edited: length, text and order.

import { byId, make, save } from "../dom.js";
import { heaviest, readTimeline, TimelineError, writeTimeline } from "./file.js";

const LASTS = 4; // seconds of an entry that is added

export class TimelineEditor {
  #entries = [];
  #on;

  /**
   * @param on.prompt the text that an entry is added with.
   * @param on.settings {width, height, seed, strength} that are written.
   * @param on.imported told of those of a file.
   * @param on.trouble told in words of a file that cannot be read.
   */
  constructor(on) {
    this.#on = on;
    byId("timeline-add").addEventListener("click", () => this.#add());
    byId("timeline-export").addEventListener("click", () => this.#export());
    byId("timeline-import").addEventListener("change", (event) => this.#import(event.target));
    this.#show();
  }

  /** The entries to be played; empty where it is not to be. */
  get playing() {
    return byId("timeline-on").checked ? this.#entries : [];
  }

  #add() {
    const text = this.#on.prompt().trim();
    if (!text) return;
    this.#entries.push({ seconds: LASTS, prompts: [{ text, weight: 100 }], steps: undefined });
    byId("timeline-on").checked = true;
    this.#show();
  }

  async #export() {
    const text = await writeTimeline({ entries: this.#entries, settings: this.#on.settings() });
    save(new Blob([text], { type: "application/json" }), "timeline.json");
  }

  async #import(field) {
    const [file] = field.files;
    field.value = "";
    if (!file) return;
    try {
      const { entries, settings } = readTimeline(await file.text());
      this.#entries = entries;
      byId("timeline-on").checked = true;
      this.#show();
      this.#on.imported(settings);
    } catch (error) {
      if (!(error instanceof TimelineError)) throw error;
      this.#on.trouble(`${file.name}: ${error.message}`);
    }
  }

  #show() {
    byId("timeline-list").replaceChildren(...this.#entries.map((entry, at) => this.#row(entry, at)));
    const total = this.#entries.reduce((sum, { seconds }) => sum + seconds, 0);
    byId("timeline-total").textContent = this.#entries.length ? `${this.#entries.length} part${this.#entries.length > 1 ? "s" : ""}, ${total.toFixed(1)} s` : "no parts yet";
    byId("timeline-export").disabled = byId("timeline-on").disabled = this.#entries.length === 0;
    if (!this.#entries.length) byId("timeline-on").checked = false;
  }

  #row(entry, at) {
    const part = at + 1;
    const seconds = make("input", { type: "number", min: 0.25, max: 3600, step: 0.25, value: entry.seconds });
    seconds.setAttribute("aria-label", `Seconds of part ${part}`);
    seconds.addEventListener("change", () => {
      if (Number(seconds.value) > 0) entry.seconds = Number(seconds.value);
      this.#show();
    });
    const text = make("input", { type: "text", value: heaviest(entry.prompts), maxLength: 8192 });
    text.setAttribute("aria-label", `Text of part ${part}`);
    text.addEventListener("change", () => {
      if (text.value.trim()) entry.prompts = [{ text: text.value.trim(), weight: 100 }];
      this.#show();
    });
    return make(
      "li",
      {},
      seconds,
      text,
      this.#button("↑", `Move part ${part} up`, () => this.#move(at, at - 1), at === 0),
      this.#button("↓", `Move part ${part} down`, () => this.#move(at, at + 1), at === this.#entries.length - 1),
      this.#button("×", `Remove part ${part}`, () => this.#entries.splice(at, 1)),
    );
  }

  #move(from, to) {
    this.#entries.splice(to, 0, ...this.#entries.splice(from, 1));
  }

  #button(face, name, act, disabled = false) {
    const button = make("button", { type: "button", className: "small", textContent: face, disabled, title: name });
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => {
      act();
      this.#show();
    });
    return button;
  }
}
