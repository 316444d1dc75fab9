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
  #stream;
  #type;
  #recorder = null;
  #parts = [];
  #wait;
  #frames = 0;

  constructor(type, { width, height }, fps) {
    Object.assign(this.#canvas, { width, height });
    this.#context = this.#canvas.getContext("2d", { alpha: false });
    this.#stream = this.#canvas.captureStream(0);
    this.#type = type;
    this.#wait = 1000 / fps;
  }

  /** How many were held up since the last file; the next may have fewer. */
  get frames() {
    return this.#frames;
  }

  async add(_, bitmap) {
    if (!this.#recorder) this.#start();
    const { width, height } = this.#canvas;
    const scale = Math.min(width / bitmap.width, height / bitmap.height);
    const [across, down] = [bitmap.width * scale, bitmap.height * scale];
    this.#context.fillRect(0, 0, width, height);
    this.#context.drawImage(bitmap, (width - across) / 2, (height - down) / 2, across, down);
    bitmap.close();
    this.#stream.getVideoTracks()[0].requestFrame();
    this.#frames += 1;
    await new Promise((resolve) => setTimeout(resolve, this.#wait));
  }

  /** The file since the last one: it is whole only once the recorder has stopped. */
  async file() {
    const [frames, recorder, parts] = [this.#frames, this.#recorder, this.#parts];
    if (!recorder) return { frames: 0 };
    [this.#frames, this.#recorder] = [0, null];
    await new Promise((resolve) => {
      recorder.addEventListener("stop", resolve, { once: true });
      recorder.stop();
    });
    return { blob: new Blob(parts, { type: recorder.mimeType.split(";")[0] }), frames };
  }

  close() {
    this.#recorder?.stop();
    this.#stream.getTracks().forEach((track) => track.stop());
  }

  #start() {
    const parts = [];
    this.#parts = parts;
    this.#recorder = new MediaRecorder(this.#stream, { mimeType: this.#type });
    this.#recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    this.#recorder.start(1000);
  }
}
