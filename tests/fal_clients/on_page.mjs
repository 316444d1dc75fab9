// fal's client on a page, of the worker's own origin or of another (?worker=URL), as its users set it
// up there. It unpacks binary messages aside, so that a text may overtake those before it.
const worker = new URLSearchParams(location.search).get("worker") ?? location.origin;
globalThis.WebSocket = class extends WebSocket { constructor(url, ...rest) { super(url.replace("wss://fal.run", worker.replace("http", "ws")), ...rest); } };

import { fal } from "@fal-ai/client";

const APP = "fal-ai/krea-wan-14b";
const SMALL = { prompt: "a fox", num_blocks: 1, num_frames: 18, width: 64, height: 64, seed: 7 };

fal.config({ proxyUrl: worker === location.origin ? "/api/fal" : `${worker}/api/fal` });

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

globalThis.subscribed = async () => {
  const video = new Blob([new Uint8Array(8)], { type: "video/mp4" });
  const error = await fal.subscribe(`${APP}/video-to-video`, { input: { prompt: "a", video_url: video } }).catch((error) => error);
  const { data } = await fal.subscribe(`${APP}/text-to-video`, { input: SMALL, pollInterval: 50 });
  return { seed: data.seed, unreadable: [error.name, error.status] };
};

globalThis.refused = () =>
  fal.run(`${APP}/text-to-video`, { input: { ...SMALL, width: 1 } }).then(
    () => null,
    (error) => ({ name: error.name, status: error.status, words: error.body.detail[0].msg }),
  );
