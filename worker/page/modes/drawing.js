// A canvas to draw on while the stream runs.

import { make } from "../dom.js";

const PAPER = "#12161c";
const COLOURS = ["#ff4d4d", "#ffd24d", "#57d977", "#4db8ff", "#a76bff", "#ffffff", "#000000"];
const MOST_STROKES = 200; // that can be undone

export class Drawing {
  #canvas = make("canvas", { width: 832, height: 480 });
  #context = this.#canvas.getContext("2d");
  #under = make("canvas", { width: 832, height: 480 }); // what can't be undone any more
  #strokes = [];
  #colour = COLOURS[3];

  constructor() {
    this.title = "canvas";
    this.note = "";
    this.element = this.#canvas;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", "Drawing");
    this.size = make("input", { type: "range", min: 2, max: 160, value: 48 });
    this.picker = make("input", { type: "color", value: this.#colour });
    this.picker.addEventListener("input", () => this.#choose(this.picker.value));
    this.controls = [
      make("div", { className: "swatches" }, ...COLOURS.map((colour) => this.#swatch(colour))),
      make(
        "div",
        { className: "fields" },
        make("label", {}, "Colour ", this.picker),
        make("label", { className: "range" }, "Brush ", this.size),
      ),
      make("p", { className: "row" }, this.#button("UNDO", () => this.undo()), this.#button("CLEAR", () => this.clear())),
    ];
    this.#canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.#canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.#paint();
  }

  /** The drawing keeps its shape on another size. */
  resized(width, height) {
    const canvas = this.#canvas;
    if (canvas.width === width && canvas.height === height) return;
    const [x, y] = [width / canvas.width, height / canvas.height];
    for (const stroke of this.#strokes) {
      stroke.points = stroke.points.map(([px, py]) => [px * x, py * y]);
    }
    const under = make("canvas", { width, height });
    under.getContext("2d").drawImage(this.#under, 0, 0, width, height);
    this.#under = under;
    Object.assign(canvas, { width, height });
    this.#paint();
  }

  async open() {}

  close() {}

  picture() {
    const { width, height } = this.#canvas;
    return { image: this.#canvas, width, height };
  }

  undo() {
    this.#strokes.pop();
    this.#paint();
  }

  clear() {
    this.#strokes = [];
    const { width, height } = this.#under;
    this.#under.getContext("2d").clearRect(0, 0, width, height);
    this.#paint();
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const stroke = { colour: this.#colour, size: Number(this.size.value), points: [this.#place(event)] };
    this.#strokes.push(stroke);
    if (this.#strokes.length > MOST_STROKES) draw(this.#under.getContext("2d"), this.#strokes.shift());
    draw(this.#context, stroke);
  }

  #move(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    const stroke = this.#strokes.at(-1);
    if (!stroke) return;
    const last = stroke.points.at(-1);
    stroke.points.push(this.#place(event));
    draw(this.#context, { ...stroke, points: [last, stroke.points.at(-1)] });
  }

  /** Where on the drawing a pointer is. */
  #place({ clientX, clientY }) {
    const box = this.#canvas.getBoundingClientRect();
    const { width, height } = this.#canvas;
    const scale = Math.min(box.width / width, box.height / height); // it is shown whole
    const left = box.left + (box.width - width * scale) / 2;
    const top = box.top + (box.height - height * scale) / 2;
    return [(clientX - left) / scale, (clientY - top) / scale];
  }

  #paint() {
    this.#context.fillStyle = PAPER;
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#context.drawImage(this.#under, 0, 0);
    this.#strokes.forEach((stroke) => draw(this.#context, stroke));
  }

  #choose(colour) {
    this.#colour = this.picker.value = colour;
  }

  #swatch(colour) {
    const picture = make("canvas", { width: 1, height: 1 });
    const context = picture.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const button = make("button", { type: "button", className: "swatch", title: colour }, picture);
    button.setAttribute("aria-label", `Colour ${colour}`);
    button.addEventListener("click", () => this.#choose(colour));
    return button;
  }

  #button(label, act) {
    const button = make("button", { type: "button", className: "small", textContent: `[ ${label} ]` });
    button.addEventListener("click", act);
    return button;
  }
}

function draw(context, { colour, size, points }) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = size;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  if (points.length === 1) {
    context.arc(...points[0], size / 2, 0, 2 * Math.PI);
    context.fill();
    return;
  }
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}
