// Settings in the page's address, behind the #, where no server sees them. A token that stands
// there is taken out, so that an address which is shared has none.

import { MODES, ranges, within } from "./settings.js";

const TEXTS = ["prompt", "other"];
const SWITCHES = ["endless", "newSeed"];

/**
 * What an address says.
 *
 * @param {string} hash such as `#mode=text&prompt=a%20fox&seed=7&token=…`
 * @returns {{settings: object, token: string}} only the settings that are there and can be.
 */
export function readAddress(hash, page) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const settings = {};
  const all = ranges(page);
  for (const [name, value] of said) {
    if (TEXTS.includes(name)) settings[name] = value.slice(0, 8192);
    else if (SWITCHES.includes(name)) settings[name] = value === "1";
    else if (name === "promptSwitch" && page.prompt_switches.includes(value)) settings[name] = value;
    else if (name === "mode" && MODES.includes(value)) settings.mode = value;
    else if (Object.hasOwn(all, name)) {
      const number = within(value, all[name], null);
      if (number !== null) settings[name] = number;
    }
  }
  return { settings, token: tokenIn(hash) };
}

/** The token in an address, or an empty text. */
export function tokenIn(hash) {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token") ?? "";
}

/** The part behind the # for some settings: what differs from the defaults, and the seed. */
export function written(settings, defaults) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (value === defaults[name] && name !== "seed" && name !== "prompt") continue;
    said.set(name, typeof value === "boolean" ? String(Number(value)) : String(value));
  }
  return `#${said}`;
}

/** The same address for others to see. */
export function withoutToken(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  said.delete("token");
  return `#${said}`;
}
