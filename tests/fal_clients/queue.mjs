// fal.subscribe and fal.queue as their users write them, and what they throw.
import { fal } from "@fal-ai/client";

const APP = "fal-ai/krea-wan-14b";
const CLIP = `${APP}/text-to-video`;
const input = { prompt: "a fox", num_frames: 18, width: 64, height: 64, seed: 7 };

fal.config({ proxyUrl: { url: process.env.FAL_PROXY_URL, when: "always" } });

const thrown = (promise) =>
  promise.then(
    () => null,
    (error) => ({ name: error.name, status: error.status, detail: error.body?.detail }),
  );

async function subscribed(options) {
  const statuses = [];
  const { data, requestId } = await fal.subscribe(CLIP, {
    input,
    logs: true,
    pollInterval: 50,
    ...options,
    onQueueUpdate: (update) => statuses.push(update),
  });
  const last = statuses.at(-1);
  return { seed: data.seed, id: typeof requestId, last: last.status, logs: last.logs.length };
}

const polled = await subscribed({ mode: "polling" });
const streamed = await subscribed({ mode: "streaming" });

const handle = await fal.queue.submit(CLIP, { input });
const { request_id: requestId } = handle;
await fal.queue.subscribeToStatus(CLIP, { requestId, pollInterval: 50 });
const status = await fal.queue.status(CLIP, { requestId, logs: true });
const result = await fal.queue.result(CLIP, { requestId });

const { request_id: unwanted } = await fal.queue.submit(CLIP, { input: { ...input, num_frames: 162, width: 1280, height: 720 } });
await fal.queue.cancel(CLIP, { requestId: unwanted });
await fal.queue.subscribeToStatus(CLIP, { requestId: unwanted, pollInterval: 50 });

console.log(
  JSON.stringify({
    polled,
    streamed,
    submitted: Object.keys(handle).sort(),
    completed: [status.status, result.data.seed, result.requestId === requestId],
    cancelled: await thrown(fal.queue.result(CLIP, { requestId: unwanted })),
    late: await thrown(fal.queue.cancel(CLIP, { requestId })),
    refused: await thrown(fal.subscribe(CLIP, { input: { ...input, width: 1 } })),
    webhook: await thrown(fal.queue.submit(CLIP, { input, webhookUrl: "https://example.com/" })),
    unknown: await thrown(fal.queue.status(CLIP, { requestId: "nobody-knows-it" })),
  }),
);
