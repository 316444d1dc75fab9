// The last resort: the browser's own recorder, which films a canvas as time goes by.
//
// It keeps no promise about single frames, so pictures are held up to it one by one, at the rate
// that the file is to have.

const TYPES = {
  mp4: ["video/mp4;codecs=avc1.640028", "video/mp4"],
  webm: ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"],
};

/** A recorder for a file of that kind; null if the browser has none. */
export function openRecorder(container, size, fps) {
  if (typeof MediaRecorder === "undefined" || typeof document === "undefined") return null;
  const type = TYPES[container].find((each) => MediaRecorder.isTypeSupported(each));
  return type ? new Recorder(type, size, fps) : null;
}

class Recorder {
  #canvas = document.createElement("canvas");
  #context;
  #track;
  #recorder;
  #parts = [];
  #wait;
  #frames = 0;

  constructor(type, { width, height }, fps) {
    Object.assign(this.#canvas, { width, height });
    this.#context = this.#canvas.getContext("2d", { alpha: false });
    const stream = this.#canvas.captureStream(0);
    [this.#track] = stream.getVideoTracks();
    this.#recorder = new MediaRecorder(stream, { mimeType: type });
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.start(1000);
    this.#wait = 1000 / fps;
  }

  /** How many were held up; the file may have fewer. */
  get frames() {
    return this.#frames;
  }

  async add(_, bitmap) {
    const { width, height } = this.#canvas;
    const scale = Math.min(width / bitmap.width, height / bitmap.height);
    const [across, down] = [bitmap.width * scale, bitmap.height * scale];
    this.#context.fillRect(0, 0, width, height);
    this.#context.drawImage(bitmap, (width - across) / 2, (height - down) / 2, across, down);
    bitmap.close();
    this.#track.requestFrame();
    this.#frames += 1;
    await new Promise((resolve) => setTimeout(resolve, this.#wait));
  }

  /** The file; an MP4 is whole only once the recorder has stopped. */
  async file() {
    const stopped = new Promise((resolve) => {
      this.#recorder.addEventListener("stop", resolve, { once: true });
    });
    this.#recorder.stop();
    await stopped;
    return new Blob(this.#parts, { type: this.#recorder.mimeType.split(";")[0] });
  }

  close() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#track.stop();
  }
}
