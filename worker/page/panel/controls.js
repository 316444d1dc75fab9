// The form: what is set, as it is set. Says what changed; knows no stream.

import { byId, make } from "../dom.js";
import { MODE_NAMES } from "../modes/modes.js";
import { drawSeed, isLive, loraKey, MODES, ranges, snapped, within } from "../settings.js";

const NUMBERS = { width: "width", height: "height", blocks: "blocks", seed: "seed", steps: "num_denoising_steps", interp: "interp_steps" };
const SWITCH_NAMES = { blend: "the old prompt fades", flush: "drop the old prompt", recache: "see all anew" };
const ONLY_LIVE = "acts on live input only";

export class Controls {
  #page;
  #settings;
  #on;

  /**
   * @param settings the object to keep up to date.
   * @param on.changed called with the names of what changed.
   */
  constructor(page, settings, on) {
    this.#page = page;
    this.#settings = settings;
    this.#on = on;
    this.#numbers();
    this.#sliders();
    this.#adapters();
    this.#switches();
    this.#modes();
    this.#sizes();
    this.#selects();
    this.show();
  }

  /** Put the settings into the form. */
  show() {
    const settings = this.#settings;
    for (const name of Object.keys(NUMBERS)) byId(name).value = settings[name];
    for (const name of ["strength", "rate"]) byId(name).value = settings[name];
    for (const name of Object.keys(this.#page.loras)) byId(loraKey(name)).value = settings[loraKey(name)];
    byId("endless").checked = settings.endless;
    byId("new-seed").checked = settings.newSeed;
    byId("fps").value = settings.fps;
    byId("switch").value = settings.promptSwitch;
    document.querySelector(`input[name=mode][value=${settings.mode}]`).checked = true;
    this.#refresh();
  }

  /** Draw another seed. */
  randomSeed() {
    this.#settings.seed = drawSeed(this.#page.max_seed);
    byId("seed").value = this.#settings.seed;
    this.#changed("seed");
  }

  /** Which mode is chosen next. */
  nextMode() {
    if (byId("mode-choice").disabled) return;
    const possible = MODES.filter((mode) => !(mode in this.#page.unhonoured));
    const at = possible.indexOf(this.#settings.mode);
    this.#settings.mode = possible[(at + 1) % possible.length];
    this.show();
    this.#changed("mode");
  }

  #numbers() {
    const all = ranges(this.#page);
    byId("seed").max = this.#page.max_seed;
    byId("width").step = byId("height").step = this.#page.multiple;
    for (const [name, key] of Object.entries(NUMBERS)) {
      const field = byId(name);
      this.#disable(field, this.#page.unhonoured[key]);
      field.addEventListener("input", () => {
        this.#settings[name] = within(field.value, all[name], this.#settings[name]);
        this.#changed(name);
      });
      field.addEventListener("change", () => {
        field.value = this.#settings[name];
      });
    }
  }

  #sliders() {
    for (const name of ["strength", "rate"]) {
      const slider = byId(name);
      slider.addEventListener("input", () => {
        this.#settings[name] = Number(slider.value);
        this.#changed(name);
      });
    }
  }

  /** A slider for each adapter of the worker. */
  #adapters() {
    const names = Object.keys(this.#page.loras);
    byId("adapters").hidden = !names.length;
    for (const name of names) {
      const key = loraKey(name);
      const slider = make("input", { id: key, type: "range", min: 0, max: 2, step: 0.01 });
      slider.addEventListener("input", () => {
        this.#settings[key] = Number(slider.value);
        this.#changed(key);
      });
      const shown = make("span", { id: `${key}-shown` });
      byId("adapter-list").append(make("label", { className: "range" }, `${name} `, shown, slider));
    }
  }

  #switches() {
    for (const [id, name] of [["endless", "endless"], ["new-seed", "newSeed"]]) {
      byId(id).addEventListener("change", () => {
        this.#settings[name] = byId(id).checked;
        this.#changed(name);
      });
    }
  }

  #modes() {
    for (const mode of MODES) {
      const radio = make("input", { type: "radio", name: "mode", value: mode });
      this.#disable(radio, this.#page.unhonoured[mode]);
      radio.addEventListener("change", () => {
        this.#settings.mode = mode;
        this.#changed("mode");
      });
      const label = make("label", { className: "mode" }, radio, make("span", { textContent: MODE_NAMES[mode] }));
      label.title = this.#page.unhonoured[mode] ?? "";
      byId("modes").append(label);
    }
  }

  #sizes() {
    for (const [width, height] of this.#page.sizes) {
      const button = make("button", { type: "button", className: "chip", textContent: `${width}×${height}` });
      button.addEventListener("click", () => {
        Object.assign(this.#settings, { width, height });
        this.show();
        this.#changed("width", "height");
      });
      byId("sizes").append(button);
    }
  }

  #selects() {
    const fps = byId("fps");
    fps.append(make("option", { value: 0, textContent: "as it comes" }));
    for (let rate = 1; rate <= 30; rate += 1) {
      fps.append(make("option", { value: rate, textContent: `${rate} fps` }));
    }
    fps.addEventListener("change", () => {
      this.#settings.fps = Number(fps.value);
      this.#changed("fps");
    });
    const ways = this.#page.prompt_switches;
    byId("switch-choice").hidden = ways.length < 2;
    byId("switch").append(...ways.map((value) => make("option", { value, textContent: SWITCH_NAMES[value] })));
    byId("switch").addEventListener("change", () => {
      this.#settings.promptSwitch = byId("switch").value;
      this.#changed("promptSwitch");
    });
  }

  #changed(...names) {
    this.#refresh();
    this.#on.changed(names);
  }

  /** What follows from the settings: notes, and what cannot be set. */
  #refresh() {
    const settings = this.#settings;
    const { unhonoured, multiple } = this.#page;
    byId("blocks").disabled = settings.endless;
    byId("strength-shown").textContent = settings.strength.toFixed(2);
    for (const name of Object.keys(this.#page.loras)) {
      byId(`${loraKey(name)}-shown`).textContent = settings[loraKey(name)].toFixed(2);
    }
    byId("rate-shown").textContent = `${settings.rate} a second`;
    this.#disable(byId("strength"), unhonoured.strength ?? (isLive(settings.mode) ? "" : ONLY_LIVE));
    const [width, height] = snapped(settings.width, settings.height, multiple);
    const asked = width === settings.width && height === settings.height;
    byId("size-note").textContent = `makes ${width}×${height}`;
    byId("size-note").title = `sides are multiples of ${multiple}; used from the next start on`;
    byId("size-note").classList.toggle("snapped", !asked);
    const reasons = ["num_denoising_steps", "interp_steps", "seed", "num_blocks"]
      .filter((key) => key in unhonoured)
      .map((key) => unhonoured[key]);
    if (byId("strength").disabled) reasons.push(`strength ${byId("strength").title}`);
    byId("stream-note").textContent = [...new Set(reasons)].join(" · ");
    const why = Object.keys(MODE_NAMES).find((mode) => mode in unhonoured);
    byId("mode-note").hidden = !why;
    byId("mode-note").textContent = why ? unhonoured[why] : "";
  }

  #disable(field, why) {
    field.disabled = Boolean(why);
    field.title = why ?? "";
  }
}
