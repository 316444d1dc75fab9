// A timeline as a file: Scope's 2.1, with what is our own beside it under `framewire`.
//
// Entries are {seconds, prompts: [{text, weight}], steps}: one after the other from second 0. `steps`
// is over how many blocks one takes over, undefined where that is the model's usual.

const VERSIONS = ["1.0", "2.0", "2.1"];
const MOST_ENTRIES = 500;
const MOST_LETTERS = 8192;
const CAMERA = "pictures of a camera, a screen, a drawing or a video were not kept";

/** What went wrong with a file: in words. */
export class TimelineError extends Error {}

/** The text that weighs the most. */
export function heaviest(prompts) {
  return prompts.reduce((best, one) => (one.weight > best.weight ? one : best)).text;
}

/**
 * The entries and settings of a file.
 *
 * @returns {{entries: object[], settings: {width?, height?, seed?, strength?}}}
 * @throws {TimelineError} it is none; the message names the entry.
 */
export function readTimeline(text) {
  let said;
  try {
    said = JSON.parse(text);
  } catch {
    throw new TimelineError("it is no JSON");
  }
  if (!VERSIONS.includes(String(said?.version))) {
    throw new TimelineError(`its version is not one of ${VERSIONS.join(", ")}`);
  }
  const items = said.prompts;
  if (!Array.isArray(items) || items.length < 1 || items.length > MOST_ENTRIES) {
    throw new TimelineError(`expected "prompts" with 1 to ${MOST_ENTRIES} entries`);
  }
  let at = 0;
  const entries = items.map((item, index) => {
    const entry = readEntry(item, `prompts[${index}]`, at, index === items.length - 1);
    at += entry.seconds;
    return entry;
  });
  return { entries, settings: readSettings(said.settings ?? {}) };
}

function readEntry(item, where, at, isLast) {
  const start = either(item, "startTime", "start_time");
  let end = either(item, "endTime", "end_time");
  if (isLast && end === undefined) end = start + 5;
  if (![start, end].every(Number.isFinite)) throw new TimelineError(`${where}: has no times`);
  if (Math.abs(start - at) > 1 / 16) throw new TimelineError(`${where}: begins at ${start} s; expected ${at} s`);
  if (end <= start) throw new TimelineError(`${where}: ends at ${end} s, before it begins`);
  const listed = item.prompts ?? [{ text: item.text, weight: 100 }];
  const prompts = (Array.isArray(listed) ? listed : [])
    .map((one) => (typeof one === "string" ? { text: one, weight: 100 } : { text: one?.text, weight: one?.weight ?? 100 }))
    .filter(({ weight }) => weight > 0)
    .slice(0, 8);
  if (!prompts.length || !prompts.every(({ text }) => isPrompt(text))) {
    throw new TimelineError(`${where}: has no prompt`);
  }
  const steps = either(item, "transitionSteps", "transition_steps");
  return { seconds: end - start, prompts, steps: Number.isFinite(steps) ? Math.min(64, Math.max(1, steps)) : undefined };
}

function readSettings(settings) {
  const size = settings.resolution ?? settings;
  const found = { width: size.width, height: size.height, seed: settings.seed, strength: either(settings, "noiseScale", "noise_scale") };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => Number.isFinite(value)));
}

function either(item, name, other) {
  return item?.[name] ?? item?.[other];
}

function isPrompt(text) {
  return typeof text === "string" && text.trim() !== "" && text.length <= MOST_LETTERS;
}

/** The text of a file with these entries. `settings`: as `readTimeline` returns them. */
export async function writeTimeline({ entries, settings, pieces = [] }) {
  let at = 0;
  const prompts = entries.map(({ seconds, prompts: texts, steps }) => {
    const startTime = at;
    at = rounded(at + seconds);
    return { startTime, endTime: at, prompts: texts, ...(steps === undefined ? {} : { transitionSteps: steps }) };
  });
  const { width, height, seed, strength } = settings;
  const live = pieces.some(({ params }) => params.webcam_mode);
  const written = {
    version: "2.1",
    exportedAt: new Date().toISOString(),
    prompts,
    settings: { inputMode: live ? "video" : "text", resolution: { height, width }, seed, noiseScale: strength },
  };
  if (pieces.length && globalThis.crypto?.subtle) {
    const digest = await digestOf(prompts);
    const kept = await Promise.all(pieces.map(withDigest));
    written.framewire = { prompts_sha256: digest, pieces: kept, not_kept: live ? [CAMERA] : [] };
  }
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** What a session's pieces show, as entries; by what `/page.json` says of blocks and frames. */
export function entriesOf(pieces, { first_block_frames: first, block_frames: later, fps }) {
  const entries = [];
  const begins = (block) => (block < 1 ? 0 : first + (block - 1) * later);
  for (const { params, steers, frames } of pieces) {
    const changes = [
      { frame: 0, map: params },
      ...steers.filter(({ prompt }) => prompt).map((map) => ({ frame: begins(map.at_block), map })),
    ].filter(({ frame }) => frame < frames);
    changes.forEach(({ frame, map }, index) => {
      const end = changes[index + 1]?.frame ?? frames;
      if (end <= frame) return;
      const prompts = map.prompts?.map(({ text, weight }) => ({ text, weight })) ?? [{ text: map.prompt, weight: 100 }];
      entries.push({ seconds: rounded((end - frame) / fps), prompts, steps: index ? map.interp_steps : undefined });
    });
  }
  return entries;
}

function rounded(seconds) {
  return Math.round(1e6 * seconds) / 1e6;
}

/** A piece with the digest of its start frame in the place of the picture. */
async function withDigest({ startFrame, ...piece }) {
  return startFrame ? { ...piece, start_frame: await sha256(startFrame) } : piece;
}

/** SHA-256 of the prompts of a file, however they are spaced: as Python's json writes them, sorted. */
function digestOf(prompts) {
  return sha256(new TextEncoder().encode(canonical(prompts)));
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${canonical(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
