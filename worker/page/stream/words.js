// What went wrong, in words: a title, the server's own reason, and what to do about it.

const BY_CODE = {
  BAD_MESSAGE: ["The worker did not understand", "This page and the worker may be of different versions: reload the page."],
  UNAUTHORIZED: ["The worker does not let this page in", "Open the address that `framewire-worker serve` prints, or START and enter the worker's key."],
  AT_CAPACITY: ["The worker is full", "It is tried again by itself; STOP gives up."],
  TIMEOUT: ["The worker ended the session", "START begins another."],
  INTERNAL_ERROR: ["The model failed", "The worker's log says why. START tries again; another size or fewer steps may help."],
};

/** An error of the server's, whichever of the known shapes it has. */
export function wordsOfError(said) {
  const { error } = said;
  if (Array.isArray(error)) {
    return {
      title: "The worker refuses these settings",
      reason: text(said.reason) || error.map(wordsOfDetail).join("; "),
      advice: "Change what it names, then START.",
    };
  }
  const code = text(error);
  const known = BY_CODE[code.toUpperCase()] ?? ["The server reports an error", "START tries again."];
  return { title: known[0], reason: text(said.reason) || code, advice: known[1] };
}

/** A connection that broke. `hadFrames`: whether a stream was under way. */
export function wordsOfClose({ code, reason, opened }, hadFrames) {
  if (!opened) {
    return {
      title: "The worker does not answer",
      reason: reason || "no connection could be made",
      advice: "See whether `framewire-worker serve` still runs, then START.",
    };
  }
  const why = { 1006: "the connection broke off", 1009: "a message was too large", 1011: "the server failed", 1012: "the worker shuts down", 1013: "the worker is full" };
  return {
    title: hadFrames ? "The stream was lost" : "The worker closed the connection",
    reason: reason || why[code] || `closed with code ${code}`,
    advice: "START begins again with the same settings.",
  };
}

export const NOT_READY = {
  title: "The worker does not say that it is ready",
  reason: "",
  advice: "It may be starting still, or stuck, or no worker: see its log, then START.",
};

export const NO_FRAME = {
  title: "No frame came in time",
  reason: "",
  advice: "The worker is overloaded or stuck. START tries again; its log may say more.",
};

/** What a text of the server's says, at a length that fits the page. */
function text(value) {
  return typeof value === "string" ? value.slice(0, 2000) : "";
}

function wordsOfDetail(detail) {
  if (detail === null || typeof detail !== "object") return text(detail);
  const where = Array.isArray(detail.loc) ? detail.loc.join(".") : "";
  return [where, text(detail.msg)].filter(Boolean).join(": ");
}
