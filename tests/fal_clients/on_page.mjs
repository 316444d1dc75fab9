// fal's client on a page of the worker's own origin, as its users set it up there. It unpacks binary
// messages aside, so that a text may overtake those before it.
globalThis.WebSocket = class extends WebSocket { constructor(url, ...rest) { super(url.replace("wss://fal.run", location.origin.replace("http", "ws")), ...rest); } };

import { fal } from "@fal-ai/client";

const APP = "fal-ai/krea-wan-14b";
const SMALL = { prompt: "a fox", num_blocks: 1, width: 64, height: 64, seed: 7 };

fal.config({ proxyUrl: "/api/fal" });

globalThis.realtime = () =>
  new Promise((resolve, reject) => {
    const seen = [];
    const connection = fal.realtime.connect(APP, {
      throttleInterval: 0,
      onResult(result) {
        seen.push(result.image ? result.index : result.status);
        if (seen.includes("completed") && seen.length === 8) {
          connection.close();
          resolve(seen.sort());
        }
      },
      onError: reject,
    });
    connection.send(SMALL);
  });

globalThis.run = async () => {
  const { data } = await fal.run(`${APP}/text-to-video`, { input: SMALL });
  return { seed: data.seed, size: (await (await fetch(data.video.url)).arrayBuffer()).byteLength };
};

globalThis.refused = () =>
  fal.run(`${APP}/text-to-video`, { input: { ...SMALL, width: 1 } }).then(
    () => null,
    (error) => ({ name: error.name, status: error.status, words: error.body.detail[0].msg }),
  );
