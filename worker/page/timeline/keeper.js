// What a session was, so that it can be made again: for each of its streams the params, and every
// change with the block that it took effect at. Goes by what the worker says; knows no DOM.

/** One stream; `steers` are maps of the wire, each with its `at_block`. */
export class Keeper {
  #pieces = [];

  /** Another session begins. */
  clear() {
    this.#pieces = [];
  }

  /**
   * A `started` event. One of a worker that does not tell the params cannot be made again.
   *
   * @param {Uint8Array|undefined} startFrame kept as it is; a file names its digest.
   */
  began({ params, made_with: madeWith, seed }, startFrame) {
    if (params === null || typeof params !== "object") return;
    const { start_frame: _, events, fmt, steers, ...rest } = params;
    this.#pieces.push({ params: { ...rest, seed }, steers: [], frames: 0, made_with: madeWith ?? {}, exact: true, startFrame });
  }

  /** A `steered` event. */
  steered({ block, values }) {
    const piece = this.#pieces.at(-1);
    if (!piece || values === null || typeof values !== "object") return;
    const { image, request_id: _, timestamp, action, at_frame: frame, ...rest } = values;
    piece.steers.push({ ...rest, at_block: block });
  }

  came() {
    const piece = this.#pieces.at(-1);
    if (piece) piece.frames += 1;
  }

  /** The streams that had frames. */
  get pieces() {
    return this.#pieces.filter(({ frames }) => frames > 0);
  }
}
