// One stream from START to its end, over as many connections as that takes. Knows no DOM.

import { extended } from "../settings.js";
import { Connection, socketUrl } from "./connection.js";
import { TokenRefused } from "./token.js";
import { NO_FRAME, NOT_READY, wordsOfClose, wordsOfError } from "./words.js";

const FULL_MS = 3000;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000];
const POLICY_CLOSES = [1000, 1008, 1009];
const ACTIVE = ["connecting", "starting", "waiting", "streaming", "retrying", "reconnecting"];
const PARAMS_SENT = ["starting", "waiting", "streaming"];

/**
 * States: idle, connecting, starting (params are sent), waiting (in line, with a position),
 * streaming, retrying (the worker is full), reconnecting, completed, stopped, failed (with words).
 *
 * Handlers: state(name, detail), frame(frame), began(started, startFrame), event(map), warned(words).
 */
export class Session {
  #page;
  #tokens;
  #on;
  #state = "idle";
  #turn = 0; // what belongs to an earlier one is not heard
  #connection = null;
  #params = null;
  #input = null;
  #endless = false;
  #timer = 0;
  #watch = 0;
  #count = 0; // frames of the connection's stream, where they are not numbered
  #done = 0; // blocks of it that have begun
  #received = 0;
  #lastJpeg = null;
  #startFrame = undefined; // that the stream was begun with
  #failures = 0;
  #askedAnew = false;
  #signAt = 0;
  #longestGap = 0;

  constructor(page, tokens, handlers) {
    this.#page = page;
    this.#tokens = tokens;
    this.#on = handlers;
  }

  get state() {
    return this.#state;
  }

  get active() {
    return ACTIVE.includes(this.#state);
  }

  /** Begin. `input`: a LiveInput that feeds pictures, if any; `endless`: until it is stopped. */
  start(params, { input = null, endless = false } = {}) {
    this.#leave();
    this.#params = { ...params };
    this.#input = input;
    this.#endless = endless;
    this.#received = this.#failures = this.#longestGap = 0;
    this.#askedAnew = false;
    this.#lastJpeg = null;
    this.#open("connecting");
  }

  /** Change what runs; before params are sent, what they will say. Nothing where nothing runs. */
  steer(change) {
    if (!this.active) return;
    Object.assign(this.#params, change);
    if (!PARAMS_SENT.includes(this.#state)) return;
    const both = this.#page.hosted ? { num_blocks: this.#params.num_blocks, ...change } : change;
    this.#connection?.send(both);
  }

  /** A map for the server to hold: it says by itself when it takes effect. */
  pass(map) {
    if (PARAMS_SENT.includes(this.#state)) this.#connection?.send(map);
  }

  /** Start over with other values; `change` holds those that can be steered, and a seed. */
  reset(change) {
    if (!this.active) return;
    if (this.#page.hosted || !PARAMS_SENT.includes(this.#state)) {
      this.start({ ...this.#params, ...change }, { input: this.#input, endless: this.#endless });
      return;
    }
    Object.assign(this.#params, change);
    this.#connection?.send({ action: "reset", ...change });
    this.#restarted();
  }

  stop() {
    if (!this.active) return;
    this.#leave();
    this.#set("stopped");
  }

  async #open(state, detail) {
    const turn = ++this.#turn;
    this.#set(state, detail);
    let token;
    try {
      token = await this.#tokens.get();
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error instanceof TokenRefused && !(error.passing && this.#received)) {
        this.#fail({ title: "There is no token for this worker", reason: error.message, advice: "START asks again." });
      } else this.#lost({ code: 1006, reason: "", opened: false });
      return;
    }
    if (turn !== this.#turn) return;
    this.#restarted();
    this.#connection = new Connection(socketUrl(this.#page, token, location.href), {
      ready: () => this.#ready(),
      frame: (frame) => this.#frame(frame),
      event: (said) => this.#event(said),
      refused: (said) => this.#refused(said),
      completed: () => this.#end("completed"),
      closed: (how) => this.#lost(how),
    });
    const reason = `nothing for ${this.#page.ready_seconds} seconds`;
    this.#timer = setTimeout(() => this.#silent(reason), 1000 * this.#page.ready_seconds);
  }

  /** It was connected, and was never told that it may begin. */
  #silent(reason) {
    if (this.#connection === null || PARAMS_SENT.includes(this.#state)) return;
    if (this.#received) this.#lost({ code: 1006, reason, opened: true });
    else this.#fail({ ...NOT_READY, reason });
  }

  #ready() {
    if (this.#state !== "connecting" && this.#state !== "reconnecting" && this.#state !== "retrying") return;
    clearTimeout(this.#timer);
    const params = this.#paramsNow();
    this.#startFrame = params.start_frame;
    this.#connection.send(params);
    this.#set("starting");
    this.#signAt = performance.now();
    this.#watch = setInterval(() => this.#look(), 500);
    // An endpoint that is told a length with every picture is told the newest one.
    const whole = (map) => (this.#page.hosted ? { ...map, num_blocks: this.#params.num_blocks } : map);
    this.#input?.begin((map) => this.#connection?.send(whole(map)));
  }

  /** Of a stream that was lost, what is left of it, going on from its last picture. */
  #paramsNow() {
    const params = { ...this.#params };
    if (this.#received && !this.#input && !("start_frame" in this.#page.unhonoured)) {
      params.start_frame = this.#lastJpeg;
    }
    return params;
  }

  #frame(frame) {
    const now = performance.now();
    if (this.#state === "streaming") this.#longestGap = Math.max(this.#longestGap, now - this.#signAt);
    this.#signAt = now;
    this.#failures = 0;
    const index = frame.index ?? this.#count;
    const { first_block_frames: first, block_frames: later } = this.#page;
    const block = frame.block ?? (index < first ? 0 : 1 + Math.floor((index - first) / later));
    this.#count = index + 1;
    this.#done = block + 1;
    this.#received += 1;
    this.#lastJpeg = frame.jpeg;
    this.#set("streaming");
    this.#input?.answered(frame.requestId);
    this.#on.frame({ ...frame, index, block, number: this.#received - 1, at: now });
    this.#ask();
  }

  /** While it runs: so many blocks in all from now on, or until it is stopped (null). */
  lasts(blocks) {
    if (!this.active) return;
    this.#endless = blocks === null;
    if (this.#endless) this.#ask();
    else this.steer({ num_blocks: blocks });
  }

  /** An endless stream: ask for more blocks before they are used up. */
  #ask() {
    if (!this.#endless) return;
    const total = extended(this.#params.num_blocks, this.#done);
    if (total !== this.#params.num_blocks) this.steer({ num_blocks: total });
  }

  #event(said) {
    if (said.type === "queued") {
      this.#signAt = performance.now();
      this.#set("waiting", { position: said.position });
    } else if (said.type === "started") {
      this.#signAt = performance.now();
      if (this.#state !== "streaming") this.#set("starting");
      this.#on.began(said, this.#startFrame);
    } else if (said.type === "steered") {
      const { prompt, prompts, strength, loras } = said.values ?? {};
      if (prompt) Object.assign(this.#params, { prompt, prompts });
      if (strength !== undefined) this.#params.strength = strength;
      if (loras !== undefined) this.#params.loras = loras;
    }
    this.#on.event(said);
  }

  #refused(said) {
    const words = wordsOfError(said);
    if (Array.isArray(said.error)) {
      if (this.#state === "streaming") this.#on.warned(words);
      else this.#fail(words);
      return;
    }
    const code = String(said.error).toUpperCase();
    if (code === "AT_CAPACITY") this.#again("retrying", FULL_MS, words);
    else if (code === "UNAUTHORIZED" && !this.#askedAnew && this.#tokens.forget()) {
      this.#askedAnew = true;
      this.#leave();
      this.#open("connecting");
    } else this.#fail(words);
  }

  #lost(how) {
    if (!this.active) return;
    const words = wordsOfClose(how, this.#received > 0);
    const goesOn = this.#received > 0 && !POLICY_CLOSES.includes(how.code);
    if (how.code === 1013) this.#again("retrying", FULL_MS, words);
    else if ((goesOn || this.#state === "retrying") && this.#failures < BACKOFF_MS.length) {
      const left = this.#params.num_blocks - this.#done;
      if (left < 1) {
        this.#end("completed");
        return;
      }
      this.#params.num_blocks = left;
      this.#params.steers = behind(this.#params.steers, this.#count);
      this.#restarted(); // however often the next attempts fail
      this.#again("reconnecting", BACKOFF_MS[this.#failures++], words);
    } else this.#fail(words);
  }

  /** Try once more after a while. */
  #again(state, ms, words) {
    this.#leave();
    const detail = { words, attempt: this.#failures, at: performance.now() + ms };
    this.#set(state, detail);
    this.#timer = setTimeout(() => this.#open(state, { ...detail, at: 0 }), ms);
  }

  #look() {
    const due = ["starting", "streaming"].includes(this.#state);
    const factor = this.#input || this.#state === "starting" ? 3 : 1;
    const most = Math.max(1000 * this.#page.frame_seconds * factor, 3 * this.#longestGap);
    const quiet = performance.now() - this.#signAt;
    if (due && quiet > most) {
      this.#fail({ ...NO_FRAME, reason: `none for ${Math.round(quiet / 1000)} seconds` });
    }
  }

  #fail(words) {
    this.#end("failed", { words });
  }

  #end(state, detail) {
    this.#leave();
    this.#set(state, detail);
  }

  #restarted() {
    this.#count = this.#done = 0;
  }

  /** Give up the connection, and what waits. */
  #leave() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#input?.stop();
    this.#connection?.close();
    this.#connection = null;
  }

  #set(state, detail = {}) {
    if (state === this.#state && state === "streaming") return;
    this.#state = state;
    this.#on.state(state, detail);
  }
}

/** Of maps that are held, those behind a frame, as a stream that begins there counts. */
function behind(steers, frame) {
  return steers
    ?.filter(({ at_frame: at }) => at > frame)
    .map((map) => ({ ...map, at_frame: map.at_frame - frame }));
}
