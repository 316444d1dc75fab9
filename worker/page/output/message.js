// What there is to say above the controls of the picture: it stays until the next action.

import { byId, make } from "../dom.js";

export class Message {
  #box = byId("message");

  /**
   * @param words {title, reason, advice}
   * @param {{label: string, act: () => void}[]} actions offered with it.
   * @param {"error"|"note"} kind
   */
  show({ title, reason = "", advice = "" }, { actions = [], kind = "error" } = {}) {
    this.#box.dataset.kind = kind;
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

  #part(name, text) {
    const element = this.#box.querySelector(`.${name}`);
    element.textContent = text;
    element.hidden = !text;
  }
}
