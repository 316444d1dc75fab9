// Which prompt was shown from which frame on: a strip of stills, each of them a way back to it.

import { make } from "../dom.js";

const MOST = 100;

export class Strip {
  #list;
  #onPick;
  #entries = [];

  /** @param onPick called with an entry that was clicked: {blob, number, prompt}. */
  constructor(list, onPick) {
    this.#list = list;
    this.#onPick = onPick;
  }

  /** The oldest goes where there are too many. */
  add({ blob, number, prompt }) {
    const url = URL.createObjectURL(blob);
    const button = make(
      "button",
      { type: "button", title: prompt },
      make("img", { src: url, alt: "" }),
      make("span", { className: "at", textContent: `frame ${number}` }),
      make("span", { className: "words", textContent: prompt }),
    );
    const entry = { blob, number, prompt, url, item: make("li", {}, button) };
    button.addEventListener("click", () => this.#onPick(entry));
    this.#entries.push(entry);
    this.#list.append(entry.item);
    if (this.#entries.length > MOST) this.#remove(this.#entries.shift());
    this.#list.scrollLeft = this.#list.scrollWidth;
  }

  clear() {
    this.#entries.splice(0).forEach((entry) => this.#remove(entry));
  }

  #remove({ item, url }) {
    item.remove();
    URL.revokeObjectURL(url);
  }
}
