// The picture that a stream begins with.

import { make } from "../dom.js";
import { FileDrop } from "./file_drop.js";

const AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp"]; // that a worker reads
const MOST_BYTES = 4e6;
const MOST_SIDE = 2048;

export class Picture {
  #changed;
  #bytes;
  #url = "";

  constructor(changed) {
    this.#changed = changed;
    this.title = "first frame";
    this.note = "";
    this.element = make("img", { alt: "the picture that the video begins with", hidden: true });
    this.said = make("p", { className: "note" });
    const drop = new FileDrop("Picture", "image/*", (file) => this.take(file));
    const clear = make("button", { type: "button", className: "small", textContent: "[ REMOVE ]" });
    clear.addEventListener("click", () => this.#set(undefined, ""));
    this.controls = [drop.element, clear, this.said];
  }

  resized() {}

  async open() {
    if (!this.#bytes) throw new Error("Drop, paste or choose a picture first.");
  }

  close() {}

  /** The file that is sent, or undefined. */
  bytes() {
    return this.#bytes;
  }

  /** Use a file, or a Blob, made smaller where it has to be. */
  async take(file) {
    try {
      const blob = await fitting(file);
      this.#set(new Uint8Array(await blob.arrayBuffer()), file.name ?? "", blob);
    } catch {
      this.said.textContent = `${file.name ?? "this"}: no picture that this browser can read`;
    }
  }

  #set(bytes, name, blob) {
    URL.revokeObjectURL(this.#url);
    this.#bytes = bytes;
    this.#url = blob ? URL.createObjectURL(blob) : "";
    this.element.hidden = !blob;
    if (blob) this.element.src = this.#url;
    else this.element.removeAttribute("src");
    this.said.textContent = name;
    this.#changed();
  }
}

/** The file as it is where a worker reads it, or else a JPEG of it, no larger than is of use. */
async function fitting(file) {
  const bitmap = await createImageBitmap(file);
  try {
    const scale = Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));
    if (scale === 1 && AS_THEY_ARE.includes(file.type) && file.size <= MOST_BYTES) return file;
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  } finally {
    bitmap.close();
  }
}
