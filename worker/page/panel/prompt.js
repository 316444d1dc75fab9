// The prompt's field: sent after a pause while something runs, at once on Enter. And what helps to
// write one: chips of what the model can draw, and starting prompts.

import { byId, make } from "../dom.js";

const QUIET_MS = 500;
const MIX_MS = 120; // a slider that is dragged

export class Prompt {
  #field = byId("prompt");
  #settings;
  #on;
  #timer = 0;
  #sent = "";
  #mixTimer = 0;

  /**
   * @param on.changed the text is another.
   * @param on.send it is to be sent, where it is not what was sent last.
   * @param on.start Ctrl/Cmd+Enter.
   * @param on.mix the blend is another.
   * @param on.running whether Enter sends.
   */
  constructor(page, settings, on) {
    this.#settings = settings;
    this.#on = on;
    this.#field.value = settings.prompt;
    this.#field.addEventListener("input", () => this.#edited());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#chips(page.draws);
    this.#blend(page.unhonoured.prompts);
    byId("surprise").hidden = page.prompts.length === 0;
    byId("surprise").addEventListener("click", () => this.surprise(page.prompts));
  }

  focus() {
    this.#field.focus();
  }

  /** What was sent with the params of a stream, or by somebody else. */
  started(text) {
    clearTimeout(this.#timer);
    this.#sent = text;
  }

  /** What a timeline shows now; what one is just writing stays. */
  follow(text) {
    this.started(text);
    if (document.activeElement === this.#field) return;
    this.#field.value = this.#settings.prompt = text;
    this.#on.changed();
  }

  /** Another text, as if it had been typed. */
  write(text) {
    this.#write(text);
  }

  /** One of the starting prompts, another than there is. */
  surprise(prompts) {
    const others = prompts.filter((prompt) => prompt !== this.#settings.prompt);
    this.#write(others[Math.floor(Math.random() * others.length)] ?? prompts[0]);
  }

  #write(text) {
    this.#field.value = text;
    this.#edited();
  }

  #edited() {
    this.#settings.prompt = this.#field.value;
    this.#on.changed();
    clearTimeout(this.#timer);
    if (this.#on.running()) this.#timer = setTimeout(() => this.#send(), QUIET_MS);
  }

  #key(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    if (this.#on.running() && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    } else if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#on.start();
    }
  }

  #send() {
    clearTimeout(this.#timer);
    const text = this.#settings.prompt.trim();
    if (!text || text === this.#sent || !this.#on.running()) return;
    this.#sent = text;
    this.#on.send(text);
  }

  /** The other prompt, and its share of what is shown: both are sent as they are changed. */
  #blend(why) {
    const [other, mix, note] = ["other", "mix", "blend-note"].map(byId);
    other.value = this.#settings.other;
    mix.value = this.#settings.mix;
    other.disabled = mix.disabled = Boolean(why);
    note.hidden = !why;
    note.textContent = why ?? "";
    const changed = () => {
      Object.assign(this.#settings, { other: other.value, mix: Number(mix.value) });
      this.#showMix();
      this.#on.changed();
      clearTimeout(this.#mixTimer);
      if (this.#on.running()) this.#mixTimer = setTimeout(() => this.#on.mix(), MIX_MS);
    };
    other.addEventListener("change", changed);
    mix.addEventListener("input", changed);
    this.#showMix();
  }

  #showMix() {
    byId("mix-shown").textContent = `${Math.round(100 * this.#settings.mix)} %`;
  }

  #chips(draws) {
    for (const [kind, words] of Object.entries(draws)) {
      const row = make("p", { className: "row" }, make("span", { className: "kind", textContent: kind }));
      for (const word of words) {
        const chip = make("button", { type: "button", className: "chip", textContent: word });
        chip.addEventListener("click", () => this.#write(withWord(this.#field.value, word, words)));
        row.append(chip);
      }
      byId("chips").append(row);
    }
    byId("chips").hidden = Object.keys(draws).length === 0;
  }
}

/** The text with this word in the place of the first other of its kind, or at its end. */
export function withWord(text, word, kind) {
  const at = kind
    .map((other) => ({ other, place: placeOf(text, other) }))
    .filter(({ place }) => place >= 0)
    .sort((a, b) => a.place - b.place || b.other.length - a.other.length)[0];
  if (at) return text.slice(0, at.place) + word + text.slice(at.place + at.other.length);
  return text.trim() ? `${text.trimEnd()} ${word}` : word;
}

/** Where a word or phrase stands by itself, or -1. */
function placeOf(text, phrase) {
  return ` ${text} `.toLowerCase().search(new RegExp(`(?<![a-z])${phrase}(?![a-z])`)) - 1;
}
