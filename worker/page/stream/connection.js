// One WebSocket: bytes to frames, texts to what they say. Knows the wire, and no session.

import { decode, encode } from "../msgpack.js";

const JPEG = 0xff; // no msgpack map begins so
const OPEN = 1; // of a socket's readyState

/**
 * Handlers, each called while the connection is open:
 * ready(), frame({jpeg, index, block, promptVersion, requestId}), event(map), refused(map),
 * completed(), and closed({code, reason, opened}) once, unless it was closed from here.
 */
export class Connection {
  #socket;
  #on;
  #opened = false;

  constructor(url, handlers) {
    this.#on = handlers;
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#opened = true;
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#hear(data);
      else this.#see(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => this.#on?.closed({ code, reason, opened: this.#opened });
  }

  /** Send a map; keys without a value are left out. */
  send(map) {
    if (this.#socket.readyState === OPEN) this.#socket.send(encode(map));
  }

  /** Nothing is heard any more, whatever is on its way. */
  close() {
    this.#on = null;
    this.#socket.close(1000);
  }

  #hear(text) {
    let said;
    try {
      said = JSON.parse(text);
    } catch {
      return; // texts that are not known are ignored
    }
    if (said === null || typeof said !== "object") return;
    if ("error" in said) this.#on?.refused(said);
    else if (said.status === "ready") this.#on?.ready();
    else if (said.status === "completed") this.#on?.completed();
    else if (typeof said.type === "string") this.#on?.event(said);
  }

  #see(bytes) {
    if (bytes[0] === JPEG) {
      this.#on?.frame({ jpeg: bytes });
      return;
    }
    let map;
    try {
      map = decode(bytes);
    } catch {
      map = null;
    }
    if (!(map?.image instanceof Uint8Array)) {
      this.#on?.frame({ jpeg: bytes }); // whatever it is: it is a message, and it is counted
      return;
    }
    this.#on?.frame({
      jpeg: map.image,
      index: map.index,
      block: map.block,
      promptVersion: map.prompt_version,
      requestId: map.request_id,
    });
  }
}

/** Where to connect, with what is asked for in the address. */
export function socketUrl(page, token, base) {
  const url = new URL(page.socket ?? "/ws", base);
  if (!page.socket) url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (!page.hosted) {
    url.searchParams.set("events", "1");
    url.searchParams.set("fmt", "msgpack");
  }
  if (token) url.searchParams.set("fal_jwt_token", token);
  return url.href;
}
