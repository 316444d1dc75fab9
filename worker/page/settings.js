// What a user can set: names, ranges, snapping, and the params that come of it. Knows no DOM.

export const LEAST_SIDE = 64;
export const MOST_SIDE = 2048;
export const MODES = ["text", "image", "canvas", "camera", "video", "screen"];
const ENDLESS_BLOCKS = 1000; // asked for at a time; more are asked for before they are used up

/** The settings of a preset, from what `/page.json` says. */
export function defaultSettings(page) {
  const { defaults, unhonoured } = page;
  return {
    mode: MODES.find((mode) => !(mode in unhonoured)) ?? "text",
    prompt: page.prompts[0] ?? "",
    other: "",
    mix: 0,
    width: defaults.width,
    height: defaults.height,
    blocks: defaults.num_blocks,
    endless: false,
    seed: drawSeed(page.max_seed),
    newSeed: false,
    steps: defaults.num_denoising_steps,
    interp: defaults.interp_steps,
    strength: defaults.strength,
    rate: 12,
    fps: 0,
    promptSwitch: page.prompt_switches[0],
    ...Object.fromEntries(Object.entries(page.loras).map(([name, usual]) => [loraKey(name), usual])),
  };
}

/** What the strength of an adapter is called among the settings. */
export function loraKey(name) {
  return `lora-${name}`;
}

/** The strengths of all adapters, as a map of the wire says them. */
export function lorasOf(settings, page) {
  const names = Object.keys(page.loras);
  return names.length ? Object.fromEntries(names.map((name) => [name, settings[loraKey(name)]])) : undefined;
}

/** A random seed from 0 to `most`. */
export function drawSeed(most) {
  return Math.floor(Math.random() * (most + 1));
}

/** What each setting may be: [least, most, whether it is whole]. */
export function ranges(page) {
  return {
    width: [LEAST_SIDE, MOST_SIDE, true],
    height: [LEAST_SIDE, MOST_SIDE, true],
    blocks: [1, 100000, true],
    seed: [0, page.max_seed, true],
    steps: [1, 8, true],
    interp: [1, 64, true],
    strength: [0, 1, false],
    mix: [0, 1, false],
    rate: [1, 30, true],
    fps: [0, 30, true],
    ...Object.fromEntries(Object.keys(page.loras).map((name) => [loraKey(name), [0, 2, false]])),
  };
}

/** A number within its range, or `fallback` where it is none. */
export function within(value, [least, most, whole], fallback) {
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) return fallback;
  return Math.min(most, Math.max(least, whole ? Math.round(number) : number));
}

/** The nearest size that can be made. What is too large is scaled down whole. */
export function snapped(width, height, multiple) {
  const scale = Math.min(1, MOST_SIDE / Math.max(width, height));
  const least = Math.ceil(LEAST_SIDE / multiple) * multiple;
  const most = Math.floor(MOST_SIDE / multiple) * multiple;
  const snap = (side) =>
    Math.min(most, Math.max(least, Math.floor((side * scale) / multiple + 0.5) * multiple));
  return [snap(width), snap(height)];
}

/** Whether pictures are fed all the time in this mode. */
export function isLive(mode) {
  return !["text", "image"].includes(mode);
}

/** What is to be shown: the prompt, or a blend of it and another by their shares. */
export function shown({ prompt, other, mix }, page) {
  const [text, second] = [prompt.trim(), other.trim()];
  if (!second || second === text || mix <= 0 || "prompts" in page.unhonoured) {
    return { prompt: text, prompts: undefined };
  }
  const prompts = [{ text, weight: 1 - mix }, { text: second, weight: mix }];
  return { prompt: mix > 0.5 ? second : text, prompts };
}

/** The map that starts a stream. `startFrame`: bytes of a picture, in image mode. */
export function paramsOf(settings, page, startFrame) {
  const [width, height] = snapped(settings.width, settings.height, page.multiple);
  const live = isLive(settings.mode);
  return {
    ...shown(settings, page),
    width,
    height,
    num_blocks: settings.endless ? ENDLESS_BLOCKS : settings.blocks,
    num_denoising_steps: settings.steps,
    seed: settings.seed,
    interp_steps: settings.interp,
    strength: settings.strength,
    loras: lorasOf(settings, page),
    prompt_switch: page.prompt_switches.length > 1 ? settings.promptSwitch : undefined,
    // Said of a start frame too, behind which the worker would wait a second for a camera.
    webcam_mode: live || (startFrame && !page.hosted ? false : undefined),
    start_frame: live ? undefined : startFrame,
    fps: settings.fps > 0 && !page.hosted ? settings.fps : undefined,
  };
}

/** The total to ask for next, once `done` of `total` blocks of an endless stream are there. */
export function extended(total, done) {
  return done > total - ENDLESS_BLOCKS / 10 ? total + ENDLESS_BLOCKS : total;
}
