// What there is to say above the controls of the picture: it stays until the next action.

import { byId, make } from "../dom.js";

export class Message {
  #box = byId("message");
  #ofState = false;

  /**
   * @param words {title, reason, advice}
   * @param {{label: string, act: () => void}[]} actions offered with it.
   * @param {"error"|"note"} kind
   * @param {boolean} ofState of how it stands with the connection: over when that is.
   */
  show({ title, reason = "", advice = "" }, { actions = [], kind = "error", ofState = false } = {}) {
    this.#box.dataset.kind = kind;
    this.#ofState = ofState;
    this.#part("title", title);
    this.#part("reason", reason);
    this.#part("advice", advice);
    const buttons = actions.map(({ label, act }) => {
      const button = make("button", { type: "button", textContent: `[ ${label} ]` });
      button.addEventListener("click", act);
      return button;
    });
    this.#box.querySelector(".actions").replaceChildren(...buttons);
    this.#box.hidden = false;
  }

  clear() {
    this.#box.hidden = true;
  }

  /** It stands otherwise now; what is said of anything else stays. */
  clearState() {
    if (this.#ofState) this.clear();
  }

  #part(name, text) {
    const element = this.#box.querySelector(`.${name}`);
    element.textContent = text;
    element.hidden = !text;
  }
}
