// What somebody writes first, with one line about the worker.
import { fal } from "@fal-ai/client";

fal.config({ proxyUrl: { url: process.env.FAL_PROXY_URL, when: "always" } });
const input = { prompt: "a fox", num_blocks: 1, width: 64, height: 64 };
const { data } = await fal.run("fal-ai/krea-wan-14b/text-to-video", { input });
console.log(data.video.url, (await fetch(data.video.url)).status);
