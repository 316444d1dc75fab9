// Frames onto the canvas, in order and at an even pace. Owns the bitmaps: only a few are ever open,
// the rest waits as JPEG.

const AHEAD = 8; // decoded and not drawn yet
const AT_ONCE = 3; // being decoded
const ASLEEP_MS = 1000; // without a repaint: the page was hidden

/** A frame: {blob, block, at, ...}; `at` is when it came, by performance.now(). */
export class Playback {
  #canvas;
  #context;
  #pacer;
  #onShown;
  #waiting = [];
  #ahead = []; // {frame, bitmap: null until decoded, dropped}
  #decoding = 0;
  #paused = false;
  #still = false;
  #shown = null;
  #tickAt = 0;
  #broken = 0;

  /** @param onShown called with a frame that was drawn, and when. */
  constructor(canvas, pacer, onShown) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#pacer = pacer;
    this.#onShown = onShown;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.toNewest();
    });
    const tick = (now) => {
      this.#tick(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Frames that wait to be drawn. */
  get queued() {
    return this.#waiting.length + this.#ahead.length;
  }

  /** The frame on the canvas, or null. */
  get shown() {
    return this.#shown;
  }

  /** Frames that could not be decoded. */
  get broken() {
    return this.#broken;
  }

  /** Milliseconds by which the picture is behind what came. */
  lag(now) {
    const next = this.#ahead[0]?.frame ?? this.#waiting[0];
    return next ? now - next.at : 0;
  }

  push(frame) {
    this.#pacer.arrived(frame.at);
    this.#waiting.push(frame);
    this.#leaveOut(this.#pacer.leaveOut(this.queued));
    this.#decode();
  }

  get paused() {
    return this.#paused;
  }

  /** Hold the picture; what comes meanwhile is not shown afterwards. */
  setPaused(paused) {
    this.#paused = paused;
    if (!paused) this.toNewest();
  }

  /** Forget what waits; the picture stays. */
  clear() {
    this.#leaveOut(this.queued);
  }

  /** Forget all, the picture too. */
  blank() {
    this.clear();
    this.#shown = null;
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** Go on with the newest block at once. */
  toNewest() {
    const all = [...this.#ahead.map(({ frame }) => frame), ...this.#waiting];
    const newest = all.at(-1)?.block;
    const place = all.findIndex(({ block }) => block === newest);
    if (place > 0) this.#leaveOut(place);
    this.#decode();
  }

  /** Show this picture instead of the stream, until `live`. */
  async showStill(blob) {
    this.#still = true;
    const bitmap = await createImageBitmap(blob);
    if (this.#still) this.#draw(bitmap);
    bitmap.close();
  }

  get still() {
    return this.#still;
  }

  /** Show the stream again. */
  live() {
    this.#still = false;
    this.toNewest();
  }

  #leaveOut(count) {
    for (let left = count; left > 0; left -= 1) {
      const entry = this.#ahead.shift();
      if (!entry) {
        this.#waiting.splice(0, left);
        return;
      }
      entry.dropped = true;
      entry.bitmap?.close();
    }
  }

  #decode() {
    if (document.hidden) return;
    while (this.#ahead.length < AHEAD && this.#decoding < AT_ONCE && this.#waiting.length) {
      const entry = { frame: this.#waiting.shift(), bitmap: null, dropped: false };
      this.#ahead.push(entry);
      this.#decoding += 1;
      createImageBitmap(entry.frame.blob)
        .then(
          (bitmap) => {
            if (entry.dropped) bitmap.close();
            else entry.bitmap = bitmap;
          },
          () => {
            this.#broken += 1;
            const place = this.#ahead.indexOf(entry);
            if (place >= 0) this.#ahead.splice(place, 1);
          },
        )
        .finally(() => {
          this.#decoding -= 1;
          this.#decode();
        });
    }
  }

  #tick(now) {
    if (now - this.#tickAt > ASLEEP_MS && this.#tickAt) this.toNewest();
    this.#tickAt = now;
    if (this.#paused || this.#still) {
      this.#leaveOut(Math.max(0, this.queued - 2 * AHEAD));
      return;
    }
    this.#leaveOut(this.#pacer.leaveOut(this.queued));
    while (this.#ahead[0]?.bitmap && this.#pacer.take(now, this.queued)) {
      const { frame, bitmap } = this.#ahead.shift();
      this.#draw(bitmap);
      bitmap.close();
      this.#shown = frame;
      this.#onShown(frame, now);
    }
    this.#decode();
  }

  #draw(bitmap) {
    const canvas = this.#canvas;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    this.#context.drawImage(bitmap, 0, 0);
  }
}
