// A place for a file: chosen, pasted, or dropped there or beside it.

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
    document.addEventListener("drop", (event) => {
      if (this.#isShown && isOfFiles(event)) this.#offer(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      if (this.#isShown && this.#offer(event.clipboardData?.files)) event.preventDefault();
    });
  }

  get #isShown() {
    return this.element.offsetParent !== null;
  }

  #offer(files) {
    const file = [...(files ?? [])].find(({ type }) => type.startsWith(this.#kind));
    if (file) this.#take(file);
    return Boolean(file);
  }
}

/** A file that is dropped on the page never takes its place, as browsers would have it. */
export function keepPage() {
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (isOfFiles(event)) event.preventDefault();
    });
  }
}

/** Not of text, and not over a field of files, which takes them by itself. */
function isOfFiles({ dataTransfer, target }) {
  return dataTransfer?.types.includes("Files") && !target.closest?.("input[type=file]");
}
