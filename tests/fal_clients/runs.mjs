// fal.run and fal.stream as their users write them, and what they throw.
import { fal } from "@fal-ai/client";

const APP = "fal-ai/krea-wan-14b";
const input = { prompt: "a fox", num_frames: 18, width: 64, height: 64, seed: 7 };

fal.config({ proxyUrl: { url: process.env.FAL_PROXY_URL, when: "always" } });

const thrown = (promise) =>
  promise.then(
    () => null,
    (error) => ({ name: error.name, status: error.status, detail: error.body?.detail }),
  );

const { data, requestId } = await fal.run(`${APP}/text-to-video`, { input });
const clip = await fetch(data.video.url);

const stream = await fal.stream(`${APP}/text-to-video`, { input });
const events = [];
for await (const event of stream) events.push(event);
const last = await stream.done();

console.log(
  JSON.stringify({
    seed: data.seed,
    requestId,
    clip: [clip.headers.get("content-type"), (await clip.arrayBuffer()).byteLength === data.video.file_size],
    progress: events.slice(0, -1).map(({ status, frames, num_frames }) => [status, frames, num_frames]),
    streamed: [last.seed, (await fetch(last.video.url)).status],
    refused: await thrown(fal.run(`${APP}/text-to-video`, { input: { ...input, width: 1 } })),
    refusedStream: await thrown(fal.stream(`${APP}/text-to-video`, { input: { ...input, width: 1 } }).then((one) => one.done())),
    elsewhere: await thrown(fal.run("fal-ai/flux/dev", { input })),
  }),
);
