// Asks for a worker's key.

import { byId } from "../dom.js";

/** @returns {Promise<string>} what was entered, or an empty text. */
export function askForKey(why) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  byId("key-note").dataset.why = why;
  if (why) byId("key-note").textContent = `Not accepted: ${why}`;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        resolve(dialog.returnValue === "use" ? field.value.trim() : "");
        field.value = "";
      },
      { once: true },
    );
  });
}
