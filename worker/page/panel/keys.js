// Keyboard shortcuts, and the list of them on `?`.

import { byId, make } from "../dom.js";

/** @param actions a list of {key, label, act}; `key` as KeyboardEvent has it, in lower case. */
export function bindKeys(actions) {
  const dialog = byId("keys");
  const open = () => dialog.showModal();
  const all = [...actions, { key: "?", label: "this list", act: open }];
  byId("keys-open").addEventListener("click", open);
  byId("keys-list").append(
    ...row("Ctrl/Cmd + Enter", "start, or send the prompt"),
    ...row("Enter", "in the prompt, while it runs: send at once"),
    ...all.flatMap(({ key, label }) => row(key === " " ? "Space" : key.toUpperCase(), label)),
  );
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !byId("keys-on").checked) return;
    if (document.querySelector("dialog[open]") || isTakenBy(event.target, event.key)) return;
    const action = all.find(({ key }) => key === event.key.toLowerCase());
    if (!action) return;
    event.preventDefault();
    action.act();
  });
}

/** Whether what has the focus uses the key itself. */
function isTakenBy(element, key) {
  if (element.matches("textarea, select, input:not([type=radio], [type=checkbox])")) return true;
  return key === " " && element.matches("button, input, video, summary, a");
}

function row(key, label) {
  return [make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: label })];
}
