// The numbers under the picture, and the state in the head. Reads nothing by itself: it is told.

import { byId } from "../dom.js";

const STATES = {
  idle: "idle",
  connecting: "connecting",
  starting: "waiting for the first frame",
  waiting: "in line",
  streaming: "live",
  retrying: "full, trying again",
  reconnecting: "reconnecting",
  completed: "completed",
  stopped: "stopped",
  failed: "failed",
};

export class Status {
  #state = byId("state");
  #until = 0;
  #name = "idle";

  /** @param detail of the session's state. */
  state(name, detail) {
    this.#name = name;
    this.#until = detail.at ?? 0;
    document.body.dataset.state = name;
    write(this.#state, STATES[name]);
    write(byId("line"), name === "waiting" ? `place ${detail.position}` : "–");
  }

  /** @param now what is to be shown: see `Director.numbers`. */
  numbers(now) {
    if (this.#until) {
      const seconds = Math.max(0, Math.ceil((this.#until - performance.now()) / 1000));
      write(byId("line"), `again in ${seconds} s`);
    }
    write(byId("frames"), `${now.received} · ${now.played} played`);
    write(byId("fps-in"), `${now.fpsIn.toFixed(1)} fps`);
    write(byId("fps-out"), `${now.fpsOut.toFixed(1)} fps`);
    write(byId("lag"), `${seconds(now.lag)} · ${now.queued} frames`);
    write(byId("change"), now.pending ? "on its way" : changed(now.change));
    write(byId("file"), now.file);
  }

  /** What a stream was settled with. */
  settled({ seed, width, height }) {
    write(byId("seed-used"), Number.isInteger(seed) ? String(seed) : "–");
    byId("copy").disabled = !Number.isInteger(seed);
    if (width && height) write(byId("size"), `${width}×${height}`);
  }
}

function changed(change) {
  if (change === null) return "–";
  if (change.model === undefined) return seconds(change.total);
  const { total, model, transport } = change;
  return `${seconds(total)} = model ${seconds(model)} + transport ${seconds(transport)}`;
}

function seconds(ms) {
  return `${(Math.max(0, ms) / 1000).toFixed(2)} s`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
