// fal.realtime as its users write it: prints what arrives at the default path and at /ws, and how
// a refusal is told. The client's host is hard-coded; the line that it takes comes first.
// The client unpacks binary messages aside, so that a text may overtake those before it.
globalThis.WebSocket = class extends WebSocket { constructor(url, ...rest) { super(url.replace("fal.run", process.env.FAL_RUN_HOST), ...rest); } };

import { fal } from "@fal-ai/client";

const APP = "fal-ai/krea-wan-14b";
const SMALL = { num_blocks: 1, width: 64, height: 64, seed: 7 };

fal.config({ proxyUrl: { url: process.env.FAL_PROXY_URL, when: "always" } });

/** What comes until the stream ends or is refused. */
function streamed(options, params) {
  return new Promise((resolve, reject) => {
    const texts = [];
    const images = [];
    const connection = fal.realtime.connect(APP, {
      throttleInterval: 0,
      ...options,
      onResult(result) {
        (result.image ? images : texts).push(result);
        if (images.length === 6 && texts.at(-1)?.status === "completed") {
          connection.close();
          resolve({ texts, images: images.map(({ index, image }) => [index, image[0], image[1]]).sort() });
        }
      },
      onError(error) {
        connection.close();
        resolve({ name: error.name, status: error.status, message: error.message });
      },
    });
    connection.send(params);
    setTimeout(reject, 60_000, new Error(`${images.length} frames and no end`)).unref();
  });
}

const whole = (data) =>
  typeof data === "string" ? JSON.parse(data) : data.arrayBuffer().then((bytes) => ({ index: 0, image: new Uint8Array(bytes) }));

console.log(
  JSON.stringify({
    default: await streamed({}, { prompt: "a fox", ...SMALL }),
    ws: await streamed({ path: "/ws", decodeMessage: whole }, { prompt: "a fox", ...SMALL }),
    refused: await streamed({}, { prompt: " ", ...SMALL }),
  }),
);
process.exit(0);
