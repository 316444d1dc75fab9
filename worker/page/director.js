// What START, STOP and the rest do: between the settings, the session, the picture and the numbers.

import { byId } from "./dom.js";
import { Counts } from "./output/counts.js";
import { Playback } from "./output/playback.js";
import { PromptChanges } from "./output/prompt_changes.js";
import { Recorder } from "./output/recorder.js";
import { Saving } from "./output/saving.js";
import { Status } from "./output/status.js";
import { Strip } from "./output/strip.js";
import { Message } from "./output/message.js";
import { Pacer } from "./pacing.js";
import { enableFor, enableForPicture } from "./panel/buttons.js";
import { isLive, loraKey, lorasOf, paramsOf, shown } from "./settings.js";
import { ChangeClock } from "./stream/change_clock.js";
import { LiveInput } from "./stream/live_input.js";
import { Session } from "./stream/session.js";
import { CuePlayer, cuesOf } from "./timeline/cues.js";
import { SessionFile } from "./timeline/session_file.js";

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
  #timeline = { entries: () => [], follow: () => {} };
  #cues = null; // of the timeline that is played
  #kept;
  #status = new Status();
  #message = new Message();
  #clock = new ChangeClock();
  #counts = new Counts();
  #changes = new PromptChanges();
  #last = null; // the newest frame's JPEG
  #saving;
  #prompt = ""; // that was sent last
  #stale = false; // frames of before a reset
  #asking = false; // a source is being opened: the browser may ask for a camera
  #panel = { start: () => this.start(), began: () => {} };

  constructor(page, settings, sources, tokens) {
    this.#page = page;
    this.#settings = settings;
    this.#sources = sources;
    this.#pacer = new Pacer({ fps: settings.fps });
    this.#playback = new Playback(byId("output"), this.#pacer, (frame, now) => this.#shown(frame, now));
    this.#recorder = new Recorder("mp4", page.fps);
    this.#kept = new SessionFile(page);
    const parts = { recorder: this.#recorder, playback: this.#playback, session: this.#kept };
    this.#saving = new Saving({ ...parts, say: (words) => this.say(words) });
    this.#strip = new Strip(byId("strip"), (entry) => this.#saving.show(entry));
    this.#session = new Session(page, tokens, {
      state: (name, detail) => this.#stateIs(name, detail),
      frame: (frame) => this.#came(frame),
      began: (started, startFrame) => this.#began(started, startFrame),
      event: (said) => this.#told(said),
      warned: (words) => this.#message.show(words, { kind: "note" }),
    });
    setInterval(() => this.#status.numbers(this.#numbers()), 250);
    this.#stateIs("idle", {});
  }

  get running() {
    return this.#session.active;
  }

  /** Whether something runs, or is about to. */
  get begun() {
    return this.running || this.#asking;
  }

  get source() {
    return this.#sources[this.#settings.mode];
  }

  get playback() {
    return this.#playback;
  }

  /**
   * @param timeline.entries what is to be played; an empty list for nothing.
   * @param timeline.follow told of each prompt that it shows.
   */
  setTimeline(timeline) {
    this.#timeline = timeline;
  }

  /**
   * @param panel.start what START does.
   * @param panel.began told of the prompt that a stream is begun with.
   */
  setPanel(panel) {
    this.#panel = panel;
  }

  /** Say something that is not an error. */
  say(words, actions = []) {
    this.#message.show(words, { kind: "note", actions });
  }

  /** Begin with what is set. `startFrame` stands in for the source: see `goOn`. */
  async start({ startFrame, keep = false } = {}) {
    if (this.#asking) return;
    this.#message.clear();
    const { source } = this;
    if (this.#lacksPrompt()) return;
    if (!startFrame && !(await this.#opens(source))) return;
    const params = paramsOf(this.#settings, this.#page, startFrame ?? source?.bytes?.());
    this.#play(params);
    this.#settled(params);
    if (!keep) this.#forget();
    this.#kept.settled(params);
    this.#playback.live();
    this.#input = isLive(this.#settings.mode) ? this.#liveInput(params) : null;
    this.#prompt = params.prompt;
    this.#panel.began(params.prompt);
    this.#clock.asked(performance.now(), { first: true });
    const endless = this.#settings.endless && this.#cues === null;
    this.#session.start(params, { input: this.#input, endless });
  }

  /** Whether a source could be opened, and is still the one that is wanted. */
  async #opens(source) {
    this.#asking = true;
    try {
      await source?.open();
      return source === this.source;
    } catch (error) {
      const words = { title: `There is no ${source.title}`, reason: error.message };
      if (source === this.source) this.#message.show(words);
      return false;
    } finally {
      this.#asking = false;
    }
  }

  /** Put the timeline, if one is to be played, into the params. */
  #play(params) {
    const entries = this.#timeline.entries();
    this.#cues = null;
    if (!entries.length) return;
    const { params: opening, cues } = cuesOf(entries, this.#page);
    this.#cues = new CuePlayer(cues, !this.#page.hosted);
    const { beforehand } = this.#cues;
    Object.assign(params, { prompts: undefined, ...opening, steers: beforehand.length ? beforehand : undefined });
    this.#timeline.follow(params.prompt);
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
      enableForPicture(false);
      this.#stateIs("idle", {});
      return;
    }
    if (this.#lacksPrompt()) return;
    if (this.#cues) {
      this.start({ keep: true });
      return;
    }
    const { prompt, prompts, seed, num_blocks: blocks, strength, loras } = paramsOf(this.#settings, this.#page);
    this.#prompt = prompt;
    this.#playback.clear();
    this.#clock.asked(performance.now(), { first: true });
    this.#session.reset({ prompt, prompts, seed, num_blocks: blocks, strength, loras });
    this.#settled({ seed });
    this.#stale = !this.#page.hosted;
  }

  #lacksPrompt() {
    if (this.#settings.prompt.trim()) return false;
    this.#message.show({ title: "There is no prompt", advice: "Write what is to be seen, then START." });
    return true;
  }

  /** The prompt as it is now, and what it is blended with, while it runs. */
  send({ interp = this.#settings.interp } = {}) {
    const change = shown(this.#settings, this.#page);
    this.#prompt = change.prompt;
    this.#changes.sent();
    this.#clock.asked(performance.now());
    this.#session.steer({ ...change, interp_steps: interp });
  }

  /** The share of a blend: it follows the hand at once. */
  mix() {
    this.send({ interp: 1 });
  }

  /** Another setting has changed. */
  changed(name) {
    const { strength, blocks, rate, fps, endless } = this.#settings;
    if (name === "strength") this.#session.steer({ strength });
    if (name.startsWith(loraKey(""))) this.#session.steer({ loras: lorasOf(this.#settings, this.#page) });
    if (name === "blocks" && !endless) this.#session.steer({ num_blocks: blocks });
    if (name === "endless" && this.#cues === null) this.#session.lasts(endless ? null : blocks);
    if (name === "rate") this.#input?.setRate(rate);
    if (name === "fps") this.#pacer.setFps(fps);
  }

  setContainer(container) {
    this.#recorder.setContainer(container);
  }

  get saving() {
    return this.#saving;
  }

  /** A stream that goes on where the last one ended. */
  async #goOn() {
    const startFrame = this.#last && new Uint8Array(await this.#last.arrayBuffer());
    await this.start(isLive(this.#settings.mode) ? { keep: true } : { startFrame, keep: true });
  }

  #liveInput({ width, height }) {
    const { source } = this;
    source.resized(width, height);
    const settings = this.#settings;
    const extra = () => ({ strength: settings.strength, prompt: this.#prompt });
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
    this.#kept.clear();
    this.#playback.clear();
    this.#counts.clear();
    this.#saving.backToLive();
  }

  #settled(settled) {
    this.#changes.clear();
    this.#stale = false;
    this.#status.settled(settled);
  }

  #began(started, startFrame) {
    this.#settled(started);
    this.#clock.began();
    this.#kept.began(started, startFrame);
  }

  #came(frame) {
    const { jpeg, ...about } = frame;
    const blob = new Blob([jpeg], { type: "image/jpeg" });
    this.#recorder.add(blob);
    this.#last = blob;
    this.#counts.came(frame.at);
    this.#kept.came();
    for (const map of this.#cues?.came(frame.index) ?? []) this.#cue(map);
    if (this.#stale && frame.index > 0) return;
    this.#stale = false;
    this.#clock.arrived(frame);
    const begins = this.#changes.begins(frame);
    const entry = { ...about, blob, begins, number: this.#counts.received - 1 };
    if (begins) {
      const prompt = this.#kept.promptOf(frame.promptVersion) ?? this.#prompt;
      this.#strip.add({ ...entry, prompt });
      this.#kept.shows(prompt, entry.number);
      if (this.#cues) this.#timeline.follow(prompt);
    }
    this.#playback.push(entry);
  }

  #cue(map) {
    if ("at_frame" in map) {
      this.#session.pass(map);
      return;
    }
    this.#prompt = map.prompt;
    this.#changes.sent();
    this.#session.steer(map);
  }

  #shown(frame, now) {
    this.#counts.shown(now);
    this.#clock.shown(frame, performance.now());
    enableForPicture(true);
  }

  #told(said) {
    if (said.type === "block") this.#clock.made(said);
    if (said.type === "steered") this.#kept.steered(said);
    if (said.type === "warning") {
      this.#message.show({ title: "The worker left something out", reason: String(said.reason) }, { kind: "note" });
    }
  }

  #stateIs(name, detail) {
    this.#status.state(name, detail);
    this.#status.numbers(this.#numbers());
    const running = !STEADY.includes(name);
    enableFor(running, name === "idle");
    if (name === "completed") this.#offerMore();
    else if (detail.words) this.#message.show(detail.words, { ofState: running });
    else if (name === "waiting") {
      this.#message.show(
        { title: "The worker is full", reason: `place ${detail.position} in the line`, advice: "It begins by itself; STOP gives up." },
        { kind: "note", ofState: true },
      );
    } else if (name === "streaming" || name === "starting") this.#message.clearState();
  }

  #offerMore() {
    this.#message.show(
      { title: "Completed", advice: "CONTINUE goes on from the last frame with the prompt as it is now; AGAIN begins anew." },
      {
        kind: "note",
        actions: [
          { label: "CONTINUE", act: () => this.#goOn() },
          { label: "AGAIN", act: () => this.#panel.start() },
        ],
      },
    );
  }

  #numbers() {
    const now = performance.now();
    return {
      ...this.#counts.at(now),
      lag: this.running ? this.#playback.lag(now) : 0,
      queued: this.#playback.queued,
      pending: this.running && this.#clock.pending,
      change: this.#clock.last,
      file: this.#recorder.said,
    };
  }
}
