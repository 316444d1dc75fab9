// A place for a file: chosen, dropped or pasted.

import { make } from "../dom.js";

export class FileDrop {
  #take;
  #kind;

  /**
   * @param {string} label of the field.
   * @param {string} accept such as `image/*`.
   * @param take called with a File.
   */
  constructor(label, accept, take) {
    this.#take = take;
    this.#kind = accept.replace("*", "");
    this.field = make("input", { type: "file", accept });
    this.field.addEventListener("change", () => {
      this.#offer(this.field.files);
      this.field.value = ""; // so that the same file can be chosen again
    });
    this.element = make(
      "label",
      { className: "drop" },
      make("span", { textContent: label }),
      make("span", { className: "quiet", textContent: "drop, paste or choose" }),
      this.field,
    );
    for (const kind of ["dragenter", "dragover"]) {
      this.element.addEventListener(kind, (event) => {
        event.preventDefault();
        this.element.classList.add("over");
      });
    }
    for (const kind of ["dragleave", "drop"]) {
      this.element.addEventListener(kind, () => this.element.classList.remove("over"));
    }
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#offer(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      if (this.element.isConnected && this.#offer(event.clipboardData?.files)) event.preventDefault();
    });
  }

  #offer(files) {
    const file = [...(files ?? [])].find(({ type }) => type.startsWith(this.#kind));
    if (file) this.#take(file);
    return Boolean(file);
  }
}
