// Which frames are the first with another prompt: by the version that they carry, or, where they
// carry none, from the block behind the one in which a prompt was sent.

export class PromptChanges {
  #version = null;
  #block = -1;
  #isSent = false;

  /** Another stream begins. */
  clear() {
    this.#version = null;
    this.#block = -1;
    this.#isSent = false;
  }

  sent() {
    this.#isSent = true;
  }

  /** Whether this frame, which follows the one asked of before, is such a first one. */
  begins({ promptVersion, block }) {
    const isFirst = this.#block < 0;
    const isNextBlock = block !== this.#block;
    this.#block = block;
    if (Number.isInteger(promptVersion)) {
      const isOther = promptVersion !== this.#version;
      this.#version = promptVersion;
      return isOther;
    }
    const isMarked = this.#isSent && isNextBlock;
    if (isNextBlock) this.#isSent = false;
    return isFirst || isMarked;
  }
}
