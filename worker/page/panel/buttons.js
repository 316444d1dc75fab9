// Which buttons can be used in which state.

import { byId } from "../dom.js";

/** @param {boolean} isRunning @param {boolean} isIdle nothing was begun, or all was forgotten. */
export function enableFor(isRunning, isIdle) {
  byId("start").disabled = isRunning;
  byId("stop").disabled = !isRunning;
  byId("reset").disabled = isIdle;
  byId("mode-choice").disabled = isRunning;
}

/** Whether there is a picture: what can be done with it, and no hint in its place. */
export function enableForPicture(isThere) {
  byId("hint").hidden = isThere;
  byId("still").disabled = byId("keep").disabled = !isThere;
}
