// What a stream is made from besides the prompt: one source a mode.

import { Camera } from "./camera.js";
import { Drawing } from "./drawing.js";
import { Picture } from "./picture.js";
import { Screen } from "./screen.js";
import { VideoFile } from "./video_file.js";

/**
 * A source: `title`, `element` (shown beside the output), `controls` (elements),
 * `resized(width, height)` with the stream's size, `open()` which gets what the source needs and
 * throws in words where it cannot, `close()`, `note` (what stands in its way, or an empty text),
 * and `picture()`: {image, width, height} to draw, or null. A start image has `bytes()` instead.
 *
 * @param changed called when a source became ready or has another picture.
 * @returns by mode; text has none.
 */
export function makeSources(changed) {
  return {
    text: null,
    image: new Picture(changed),
    canvas: new Drawing(),
    camera: new Camera(changed),
    video: new VideoFile(changed),
    screen: new Screen(changed),
  };
}

export const MODE_NAMES = {
  text: "Text",
  image: "Image",
  canvas: "Canvas",
  camera: "Camera",
  video: "Video",
  screen: "Screen",
};
