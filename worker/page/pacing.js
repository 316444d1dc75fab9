// When to show a frame: frames come in bursts, a block at a time, and are to be seen evenly.
//
// What waits is spread over the time until the next burst is expected, but for a small reserve,
// which bridges one that is late: each frame of it stands longer than the one before. So a queue
// that has grown is back at the reserve within a block, and lag never adds up. Knows neither DOM
// nor clock: times are milliseconds of the caller's, from any beginning.

const FIRST_GUESS = 1000; // of the time between bursts, until there were two
const WEIGHT = 0.5; // of the newest burst in what is expected of the next
const LATE = 2.5; // times what was expected: a pause of more says nothing about the next burst
const RESERVE = 360; // milliseconds of frames,
const RESERVE_SHARE = 0.5; // or this much of the quiet between two bursts, if that is less
const STRETCH = 1.5;
const LONGEST = 420; // for a frame to stand, unless they come as slowly as that
const FASTEST = 4; // times the pace at which they come
const BURST_GAP = 40; // between two bursts, at least; where no gap stands out, each frame is one
const BURST_GAPS = 3; // times the usual gap,
const FIRST_GAP = 250; // or this much after the first frame
const MOST_IN_BURST = 32;
const REMEMBERED = 24; // gaps,
const FEW = 12; // of which these tell bursts from frames that come one by one
const BEHIND = 3; // blocks that may wait
const FEWEST_BEHIND = 36; // frames of them, where blocks are small
const AVERAGED = 4000;
const ON_TIME = 100; // how late a repaint may be without moving the frames after it

export class Pacer {
  #least = 0;
  #gaps = [];
  #cameAt = null;
  #began = 0; // when the newest burst did
  #count = 0; // of its frames that came
  #bursts = 0;
  #period = FIRST_GUESS; // from burst to burst, as expected
  #frames = 0; // in one
  #quiet = FIRST_GUESS; // before one
  #time = 0; // of the last few seconds,
  #sum = 0; // and the frames that came in it
  #shownAt = null;
  #fromReserve = 0; // shown since the last one came
  #over = 0; // frames to leave out, where fewer are to be shown than come

  /** @param {{fps?: number}} options show no more frames a second than `fps`; 0: as they come. */
  constructor({ fps = 0 } = {}) {
    this.setFps(fps);
  }

  setFps(fps) {
    this.#least = fps > 0 ? 1000 / (1.1 * fps) : 0; // a little faster, to catch up again
  }

  /** Frames a second as they come, on average; 0 until two bursts came. */
  get rate() {
    return this.#time > 0 ? (1000 * this.#sum) / this.#time : 0;
  }

  /** A frame came. */
  arrived(now) {
    if (this.#cameAt === null) {
      this.#bursts = this.#count = 1;
      this.#began = now;
    } else {
      const gap = now - this.#cameAt;
      if (this.#isNewBurst(gap)) this.#startBurst(now, gap);
      this.#count += 1;
      this.#gaps = [...this.#gaps.slice(1 - REMEMBERED), gap];
    }
    this.#cameAt = now;
    this.#fromReserve = 0;
  }

  /**
   * When the next frame is to be shown. Ask again when another came.
   *
   * @param {number} waiting frames that came and were neither shown nor left out.
   * @returns {number} -Infinity for the first one, Infinity where none waits.
   */
  due(waiting) {
    if (waiting < 1) return Infinity;
    return this.#shownAt === null ? -Infinity : this.#shownAt + this.#interval(waiting);
  }

  /**
   * Whether to show a frame now; it counts as shown, then.
   *
   * More than one may be due at a repaint: ask until there is none, and draw the last.
   */
  take(now, waiting) {
    const due = this.due(waiting);
    if (due > now) return false;
    if (waiting <= this.#reserve()) this.#fromReserve += 1;
    if (this.rate * this.#least > 1000) {
      this.#over += this.#least / Math.min(1000 / this.rate, this.#wanted(waiting)) - 1;
    }
    this.#shownAt = due > now - ON_TIME ? due : now;
    return true;
  }

  /**
   * How many of the oldest frames to leave out now: some, evenly, where `fps` is less than comes;
   * all but the newest block, where the page itself came behind, hidden or too slow to show them.
   */
  leaveOut(waiting) {
    const block = Math.ceil(Math.max(this.#frames, this.#count));
    const most = this.#reserve() + Math.max(BEHIND * block, FEWEST_BEHIND);
    if (waiting > most) {
      this.#over = 0;
      return waiting - block - this.#reserve();
    }
    const out = Math.min(Math.floor(this.#over), Math.max(0, waiting - 1));
    this.#over -= out;
    return out;
  }

  /** A frame's share of the time from burst to burst. */
  #pace() {
    return this.#period / Math.max(1, this.#frames || this.#count);
  }

  #reserve() {
    const time = Math.min(RESERVE, RESERVE_SHARE * Math.max(this.#quiet, this.#period / 2));
    return this.#bursts > 1 ? Math.max(1, Math.round(time / this.#pace())) : 0;
  }

  #interval(waiting) {
    return Math.max(this.#wanted(waiting), this.#least);
  }

  #wanted(waiting) {
    const pace = this.#pace();
    const spare = waiting + Math.max(0, Math.round(this.#frames) - this.#count) - this.#reserve();
    const time = this.#began + this.#period - this.#shownAt;
    let interval = pace;
    if (spare <= 0) interval *= 1.25 * STRETCH ** this.#fromReserve;
    else if (time > 0) interval = Math.max(time / spare, pace / FASTEST);
    return Math.min(interval, Math.max(LONGEST, 1.25 * pace));
  }

  #isNewBurst(gap) {
    const sorted = [...this.#gaps].sort((a, b) => a - b);
    const usual = sorted[sorted.length >> 1] ?? FIRST_GAP / BURST_GAPS;
    if (gap > Math.max(BURST_GAP, BURST_GAPS * usual)) return true;
    const known = sorted.length >= (usual > BURST_GAP ? FEW : REMEMBERED);
    const isEven = known && sorted.at(-1) <= BURST_GAPS * usual;
    return isEven || this.#count >= MOST_IN_BURST;
  }

  #startBurst(now, gap) {
    const fading = Math.exp((this.#began - now) / AVERAGED);
    this.#time = this.#time * fading + now - this.#began;
    this.#sum = this.#sum * fading + this.#count;
    const took = Math.min(now - this.#began, LATE * this.#period);
    const weight = this.#bursts > 1 ? WEIGHT : 1;
    this.#period += weight * (took - this.#period);
    this.#frames += weight * (this.#count - this.#frames);
    this.#quiet += weight * (Math.min(gap, LATE * this.#period) - this.#quiet);
    this.#bursts += 1;
    this.#began = now;
    this.#count = 0;
  }
}
