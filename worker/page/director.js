// What START, STOP and the rest do: between the settings, the session, the picture and the numbers.

import { byId, save } from "./dom.js";
import { Playback } from "./output/playback.js";
import { Rate } from "./output/rate.js";
import { Recorder } from "./output/recorder.js";
import { Status } from "./output/status.js";
import { Strip } from "./output/strip.js";
import { Message } from "./output/message.js";
import { Pacer } from "./pacing.js";
import { isLive, paramsOf } from "./settings.js";
import { ChangeClock } from "./stream/change_clock.js";
import { LiveInput } from "./stream/live_input.js";
import { Session } from "./stream/session.js";

const STEADY = ["stopped", "completed", "failed", "idle"];

export class Director {
  #page;
  #settings;
  #sources;
  #session;
  #pacer;
  #playback;
  #recorder;
  #strip;
  #input = null;
  #status = new Status();
  #message = new Message();
  #clock = new ChangeClock();
  #in = new Rate();
  #out = new Rate();
  #seed = 0; // of the stream that was begun last
  #received = 0;
  #played = 0;
  #version = null; // of the prompt, in the newest frame
  #prompt = ""; // that was sent last
  #mark = false; // the next block is the first with another prompt, where frames don't say so
  #block = -1;
  #stale = false; // frames of before a reset

  constructor(page, settings, sources, tokens) {
    this.#page = page;
    this.#settings = settings;
    this.#sources = sources;
    this.#pacer = new Pacer({ fps: settings.fps });
    this.#playback = new Playback(byId("output"), this.#pacer, (frame, now) => this.#shown(frame, now));
    this.#recorder = new Recorder("mp4", page.fps);
    this.#strip = new Strip(byId("strip"), (entry) => this.#showStill(entry));
    this.#session = new Session(page, tokens, {
      state: (name, detail) => this.#stateIs(name, detail),
      frame: (frame) => this.#came(frame),
      began: (started) => this.#began(started),
      event: (said) => this.#told(said),
      warned: (words) => this.#message.show(words, { kind: "note" }),
    });
    setInterval(() => this.#status.numbers(this.#numbers()), 250);
    this.#stateIs("idle", {});
  }

  get running() {
    return this.#session.active;
  }

  get source() {
    return this.#sources[this.#settings.mode];
  }

  get playback() {
    return this.#playback;
  }

  /** Begin with what is set. `startFrame` stands in for the source: see `goOn`. */
  async start({ startFrame, keep = false } = {}) {
    this.#message.clear();
    const { source } = this;
    if (!this.#settings.prompt.trim()) {
      this.#message.show({ title: "There is no prompt", advice: "Write what is to be seen, then START." });
      return;
    }
    try {
      if (!startFrame) await source?.open();
    } catch (error) {
      this.#message.show({ title: `There is no ${source.title}`, reason: error.message });
      return;
    }
    const params = paramsOf(this.#settings, this.#page, startFrame ?? source?.bytes?.());
    this.#settled(params);
    if (!keep) this.#forget();
    this.#playback.live();
    this.#input = isLive(this.#settings.mode) ? this.#liveInput(params) : null;
    this.#prompt = params.prompt;
    this.#clock.asked(performance.now(), { first: true });
    this.#session.start(params, { input: this.#input, endless: this.#settings.endless });
  }

  stop() {
    this.#message.clear();
    this.#session.stop();
  }

  /** While it runs: start over with what is set now. Otherwise: forget what was received. */
  reset() {
    this.#message.clear();
    if (!this.running) {
      this.#forget();
      this.#playback.blank();
      byId("hint").hidden = false;
      byId("still").disabled = true;
      this.#stateIs("idle", {});
      return;
    }
    const { prompt, seed, num_blocks: blocks, strength } = paramsOf(this.#settings, this.#page);
    this.#prompt = prompt;
    this.#stale = !this.#page.hosted;
    this.#playback.clear();
    this.#clock.asked(performance.now(), { first: true });
    this.#session.reset({ prompt, seed, num_blocks: blocks, strength });
    this.#settled({ seed });
  }

  /** A prompt, while it runs. */
  send(prompt) {
    this.#prompt = prompt;
    this.#mark = true;
    this.#clock.asked(performance.now());
    this.#session.steer({ prompt, interp_steps: this.#settings.interp });
  }

  /** Another setting has changed. */
  changed(name) {
    const { strength, blocks, rate, fps, endless } = this.#settings;
    if (name === "strength") this.#session.steer({ strength });
    if (name === "blocks" && !endless) this.#session.steer({ num_blocks: blocks });
    if (name === "rate") this.#input?.setRate(rate);
    if (name === "fps") this.#pacer.setFps(fps);
  }

  setContainer(container) {
    this.#recorder.setContainer(container);
  }

  async download() {
    try {
      const { blob, extension, frames, note } = await this.#recorder.file();
      save(blob, `framewire-${this.#seed}-${frames}-frames.${extension}`);
      if (note) this.#message.show({ title: "About this file", reason: note }, { kind: "note" });
    } catch (error) {
      this.#message.show({ title: "There is no file", reason: error.message }, { kind: "note" });
    }
  }

  /** The frame that is shown, as it came. */
  saveStill() {
    const { shown } = this.#playback;
    if (shown) save(shown.blob, `framewire-${String(shown.number).padStart(6, "0")}.jpg`);
  }

  backToLive() {
    byId("still-note").hidden = byId("live-again").hidden = true;
    this.#playback.live();
  }

  /** A stream that goes on where the last one ended. */
  async #goOn() {
    const blob = this.#playback.shown?.blob;
    const startFrame = blob && new Uint8Array(await blob.arrayBuffer());
    await this.start(isLive(this.#settings.mode) ? { keep: true } : { startFrame, keep: true });
  }

  #liveInput({ width, height }) {
    const { source } = this;
    source.resized(width, height);
    const settings = this.#settings;
    const extra = () => ({ strength: settings.strength, prompt: this.#prompt, num_blocks: settings.blocks });
    return new LiveInput({
      source,
      rate: settings.rate,
      width,
      height,
      block: this.#page.block_frames,
      extra: this.#page.hosted ? extra : undefined,
    });
  }

  #forget() {
    this.#recorder.begin();
    this.#strip.clear();
    this.#playback.clear();
    this.#received = this.#played = 0;
    this.#in.clear();
    this.#out.clear();
    this.backToLive();
  }

  #settled(settled) {
    this.#seed = settled.seed;
    this.#version = null;
    this.#block = -1;
    this.#stale = false;
    this.#status.settled(settled);
  }

  #began(started) {
    this.#settled(started);
    this.#clock.began();
  }

  #came(frame) {
    const { jpeg, ...about } = frame;
    const blob = new Blob([jpeg], { type: "image/jpeg" });
    this.#recorder.add(blob);
    this.#received += 1;
    this.#in.note(frame.at);
    if (this.#stale && frame.index > 0) return;
    this.#stale = false;
    this.#clock.arrived(frame);
    const entry = { ...about, blob, number: this.#received - 1 };
    if (this.#isFirstOfPrompt(frame)) this.#strip.add({ ...entry, prompt: this.#prompt });
    this.#playback.push(entry);
  }

  #isFirstOfPrompt({ promptVersion, block }) {
    const first = this.#block < 0;
    const another = block !== this.#block;
    this.#block = block;
    if (Number.isInteger(promptVersion)) {
      const changed = promptVersion !== this.#version;
      this.#version = promptVersion;
      return changed;
    }
    const marked = this.#mark && another;
    if (another) this.#mark = false;
    return first || marked;
  }

  #shown(frame, now) {
    this.#played += 1;
    this.#out.note(now);
    byId("hint").hidden = true;
    this.#clock.shown(frame, performance.now());
    byId("still").disabled = false;
  }

  #told(said) {
    if (said.type === "block") this.#clock.made(said);
    if (said.type === "warning") {
      this.#message.show({ title: "The worker left something out", reason: String(said.reason) }, { kind: "note" });
    }
  }

  #stateIs(name, detail) {
    this.#status.state(name, detail);
    this.#status.numbers(this.#numbers());
    const running = !STEADY.includes(name);
    byId("start").disabled = running;
    byId("stop").disabled = !running;
    byId("reset").disabled = name === "idle";
    byId("mode-choice").disabled = running;
    if (name === "completed") this.#offerMore();
    else if (detail.words) this.#message.show(detail.words);
    else if (name === "waiting") {
      this.#message.show(
        { title: "The worker is full", reason: `place ${detail.position} in the line`, advice: "It begins by itself; STOP gives up." },
        { kind: "note" },
      );
    } else if (name === "streaming" || name === "starting") this.#message.clear();
  }

  #offerMore() {
    this.#message.show(
      { title: "Completed", advice: "CONTINUE goes on from the last frame with the prompt as it is now; AGAIN begins anew." },
      {
        kind: "note",
        actions: [
          { label: "CONTINUE", act: () => this.#goOn() },
          { label: "AGAIN", act: () => this.start() },
        ],
      },
    );
  }

  async #showStill({ blob, number }) {
    await this.#playback.showStill(blob);
    byId("still-note").textContent = `frame ${number}`;
    byId("still-note").hidden = byId("live-again").hidden = false;
  }

  #numbers() {
    const now = performance.now();
    return {
      received: this.#received,
      played: this.#played,
      fpsIn: this.#in.perSecond(now),
      fpsOut: this.#out.perSecond(now),
      lag: this.running ? this.#playback.lag(now) : 0,
      queued: this.#playback.queued,
      pending: this.running && this.#clock.pending,
      change: this.#clock.last,
      file: this.#recorder.said,
    };
  }
}
