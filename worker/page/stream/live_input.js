// Pictures of a source into a stream: so many a second, no more unanswered than two blocks' worth.

import { Unanswered } from "./unanswered.js";

const QUALITY = 0.9;
const SILENCE_MS = 12000; // after which the pictures that a server without ids holds are given up

export class LiveInput {
  #source;
  #rate;
  #extra;
  #block;
  #unanswered;
  #canvas;
  #send = null;
  #timer = 0;
  #number = 0;
  #busy = false;
  #heardAt = 0;

  /**
   * @param options.source has `picture()`: what can be drawn, with its width and height, or null.
   * @param options.rate pictures a second.
   * @param options.width of the stream; pictures are cut to its shape.
   * @param options.block pictures that a block needs.
   * @param options.extra what else each map says.
   */
  constructor({ source, rate, width, height, block, extra = () => ({}) }) {
    this.#source = source;
    this.#rate = rate;
    this.#extra = extra;
    this.#block = block;
    this.#unanswered = new Unanswered(2 * block);
    this.#canvas = new OffscreenCanvas(width, height);
  }

  /** Pictures sent that no frame was made from yet. */
  get unanswered() {
    return this.#unanswered.count;
  }

  setRate(rate) {
    this.#rate = rate;
  }

  /** Begin to feed a connection; the first picture goes at once. */
  begin(send) {
    this.stop();
    this.#send = send;
    this.#unanswered = new Unanswered(2 * this.#block);
    this.#heardAt = performance.now();
    this.#tick();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#send = null;
  }

  /** A frame came. */
  answered(requestId) {
    this.#heardAt = performance.now();
    this.#unanswered.answered(requestId);
  }

  #tick() {
    this.#timer = setTimeout(() => this.#tick(), 1000 / this.#rate);
    if (this.#busy) return;
    if (this.#unanswered.full) {
      const now = performance.now();
      if (now - this.#heardAt < SILENCE_MS) return;
      this.#heardAt = now;
      this.#unanswered.forgive(this.#block);
    }
    this.#busy = true;
    this.#feed()
      .catch(() => {}) // a source that is just being changed has no picture
      .finally(() => {
        this.#busy = false;
      });
  }

  async #feed() {
    const send = this.#send;
    const picture = this.#source.picture();
    if (picture === null) return;
    drawCovering(this.#canvas, picture);
    const blob = await this.#canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    const image = new Uint8Array(await blob.arrayBuffer());
    if (send !== this.#send) return;
    const id = `p${this.#number++}`;
    this.#unanswered.sent(id);
    send({ image, request_id: id, timestamp: Date.now() + 0.5, ...this.#extra() });
  }
}

/** Draw a picture so that it fills the canvas, cut about its centre. */
export function drawCovering(canvas, { image, width, height, mirrored = false }) {
  const context = canvas.getContext("2d");
  const scale = Math.max(canvas.width / width, canvas.height / height);
  const [w, h] = [width * scale, height * scale];
  context.save();
  if (mirrored) {
    context.translate(canvas.width, 0);
    context.scale(-1, 1);
  }
  context.drawImage(image, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
  context.restore();
}
