// fal's client uploads a small and a large file, and one that is the input of a run.
import { readFileSync } from "node:fs";
import { fal } from "@fal-ai/client";

const [proxy, clip] = process.argv.slice(2);
fal.config({ proxyUrl: { url: proxy, when: "always" } });

const small = await fal.storage.upload(new File(["some bytes"], "a.txt", { type: "text/plain" }));
const large = await fal.storage.upload(new Blob([new Uint8Array(95 * 1024 * 1024).fill(7)]));
const input = { prompt: "a", width: 64, height: 64, num_frames: 18, seed: 7 };
const { data } = await fal.run("fal-ai/krea-wan-14b/video-to-video", {
  input: { ...input, video_url: new Blob([readFileSync(clip)], { type: "video/mp4" }) },
});
const got = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const bytes = await got(large);
const refused = await fal.storage
  .upload(new Blob(["x"]), { lifecycle: { initialAcl: { default: "forbid" } } })
  .then(() => null, (error) => ({ name: error.name, status: error.status, words: error.body.detail }));
console.log(
  JSON.stringify({
    small: new TextDecoder().decode(await got(small)),
    large: [bytes.length, bytes[0], bytes.at(-1)],
    seed: data.seed,
    refused,
  }),
);
