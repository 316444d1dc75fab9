// The page put together: what the server says, what the address says, and the parts wired up.

import { Director } from "./director.js";
import { byId, make } from "./dom.js";
import { keepPage } from "./modes/file_drop.js";
import { makeSources, MODE_NAMES } from "./modes/modes.js";
import { Controls } from "./panel/controls.js";
import { expanded } from "./panel/expand.js";
import { askForKey } from "./panel/key_dialog.js";
import { bindKeys } from "./panel/keys.js";
import { Prompt } from "./panel/prompt.js";
import { defaultSettings, isLive, ranges, snapped, within } from "./settings.js";
import { readAddress, tokenIn, withoutToken, written } from "./settings_url.js";
import { Tokens } from "./stream/token.js";
import { TimelineEditor } from "./timeline/editor.js";

const ADDRESS_MS = 300;
const CONTAINERS = [["mp4", "MP4"], ["webm", "WebM"]];

async function main() {
  const opened = location.hash;
  if (tokenIn(opened)) history.replaceState(null, "", withoutToken(opened));
  addEventListener("hashchange", () => location.reload()); // another address, in the same tab
  const answer = await fetch("/page.json");
  if (!answer.ok) throw new Error(`/page.json: HTTP ${answer.status}`);
  const page = await answer.json();
  const settings = defaultSettings(page);
  const defaults = { ...settings };
  const tokens = new Tokens(page, askForKey, tokenIn(opened));
  Object.assign(settings, readAddress(opened, page).settings);
  if (settings.mode in page.unhonoured) settings.mode = defaults.mode;

  let addressTimer = 0;
  const writeAddress = () => {
    clearTimeout(addressTimer);
    addressTimer = setTimeout(() => history.replaceState(null, "", written(settings, defaults)), ADDRESS_MS);
  };
  history.replaceState(null, "", written(settings, defaults));

  const sources = makeSources(() => showSource());
  const director = new Director(page, settings, sources, tokens);
  const start = () => {
    if (director.begun) return;
    if (settings.newSeed) controls.randomSeed();
    director.start();
  };
  const prompt = new Prompt(page, settings, {
    changed: writeAddress,
    send: () => director.send(),
    mix: () => director.mix(),
    start,
    running: () => director.running,
  });
  const controls = new Controls(page, settings, {
    changed: (names) => {
      writeAddress();
      if (names.includes("mode")) changeMode();
      if (names.includes("width") || names.includes("height")) resizeSource();
      names.forEach((name) => director.changed(name));
    },
  });

  const timeline = new TimelineEditor({
    prompt: () => settings.prompt,
    settings: () => settings,
    imported: (said) => {
      for (const [name, value] of Object.entries(said)) {
        settings[name] = within(value, ranges(page)[name], settings[name]);
      }
      controls.show();
      writeAddress();
    },
    trouble: (reason) => director.say({ title: "This is no timeline", reason }),
  });
  director.setPanel({ start, began: (text) => prompt.started(text.trim()) });
  director.setTimeline({ entries: () => timeline.playing, follow: (text) => prompt.follow(text) });

  async function expand() {
    const original = settings.prompt;
    try {
      prompt.write(await expanded(original, await tokens.get()));
      const undo = { label: "UNDO", act: () => prompt.write(original) };
      director.say({ title: "Written out", reason: `It was: ${original}` }, [undo]);
    } catch (error) {
      director.say({ title: "It could not be written out", reason: error.message });
    }
  }

  function changeMode() {
    for (const [mode, source] of Object.entries(sources)) if (mode !== settings.mode) source?.close();
    showSource();
  }

  function resizeSource() {
    if (!director.running) director.source?.resized(...snapped(settings.width, settings.height, page.multiple));
  }

  function showSource() {
    const source = director.source;
    byId("input-pane").hidden = byId("source").hidden = source === null;
    document.querySelector(".live-only").hidden = !isLive(settings.mode);
    byId("input-picture").replaceChildren(...(source ? [source.element] : []));
    if (source === null) return;
    resizeSource();
    byId("input-title").textContent = byId("source-title").textContent = source.title;
    const note = source.note ? [make("p", { className: "note", textContent: source.note })] : [];
    byId("source-controls").replaceChildren(...source.controls, ...note);
  }

  keepPage();
  byId("preset").textContent = page.preset;
  byId("expand").hidden = !page.expands;
  byId("where").textContent = page.hosted ? `in front of ${new URL(page.socket).host}` : `worker at ${location.host}`;
  byId("hint").textContent = `${page.preset} is ready. Write a prompt, press START.`;
  for (const [value, textContent] of CONTAINERS) byId("container").append(make("option", { value, textContent }));
  byId("container").addEventListener("change", () => director.setContainer(byId("container").value));
  showSource();

  const pause = () => {
    const { playback } = director;
    playback.setPaused(!playback.paused);
    byId("pause").setAttribute("aria-pressed", String(playback.paused));
  };
  const copySeed = async () => {
    const seed = byId("seed-used");
    getSelection().selectAllChildren(seed); // where there is no clipboard, Ctrl+C copies it
    await navigator.clipboard?.writeText(seed.textContent);
  };
  const clicks = {
    start,
    stop: () => director.stop(),
    reset: () => director.reset(),
    download: () => director.saving.download(),
    random: () => controls.randomSeed(),
    pause,
    still: () => director.saving.still(),
    copy: copySeed,
    keep: () => director.saving.keep(),
    expand,
    "live-again": () => director.saving.backToLive(),
  };
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  bindKeys([
    { key: "s", label: "start", act: start },
    { key: "x", label: "stop", act: clicks.stop },
    { key: "r", label: "reset", act: clicks.reset },
    { key: "d", label: "download", act: clicks.download },
    { key: "n", label: "another seed", act: clicks.random },
    { key: " ", label: "pause the view", act: pause },
    { key: "f", label: "save this frame", act: clicks.still },
    { key: "m", label: "next mode", act: () => controls.nextMode() },
    { key: "p", label: "write the prompt", act: () => prompt.focus() },
  ]);
  document.body.dataset.ready = "yes";
}

main().catch((error) => {
  byId("hint").textContent = `The page could not be set up: ${error.message}. Reload it.`;
});
