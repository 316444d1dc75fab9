"""Pictures of a training run: `python -m train_tiny.sheet --out OUT` from `examples/`.

Owns the loss plot (`loss.png`) and the sample sheet (`samples.png`: a held-out caption a row, with
frames of the first four blocks; the last two blocks after a change of colour and direction).
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from train_tiny.captions import plain_caption
from train_tiny.export import export
from train_tiny.world import HEIGHT, WIDTH, random_scene

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.tiny.model import TINY, load_tiny

PLOT = (900, 360)
CURVES = {
    "first pass of a stream": (0, "red"),
    "first pass later": (1, "blue"),
    "all": (2, "black"),
}


def samples(engine: Engine, rows: int, seed: int) -> Image.Image:
    """Streams of held-out captions, steered after two blocks."""
    rng = np.random.default_rng(seed)
    sheet = Image.new("RGB", (8 * WIDTH, rows * (HEIGHT + 12)), "white")
    for row in range(rows):
        scene = random_scene(rng, held_out=True)
        turned = replace(random_scene(rng), background=scene.background)
        stream = engine.open(plain_caption(scene), StreamParams.of(TINY, seed=row))
        top = row * (HEIGHT + 12)
        text = f"{plain_caption(scene)}   ->   {plain_caption(turned)}"
        ImageDraw.Draw(sheet).text((2, top), text, fill="black")
        for block in range(4):
            if block == 2:
                stream.steer(prompt=plain_caption(turned), interp_steps=1)
            frames = stream.generate_block().numpy()
            for half, frame in enumerate((frames[0], frames[-1])):
                place = ((2 * block + half) * WIDTH, top + 12)
                sheet.paste(Image.fromarray(frame), place)
    return sheet


def losses(history: list[tuple[float, ...]]) -> Image.Image:
    """Running means of the losses, on a logarithmic scale."""
    plot = Image.new("RGB", PLOT, "white")
    pen = ImageDraw.Draw(plot)
    table = np.array(history)
    window = max(1, len(table) // 150)
    table = table[: len(table) // window * window].reshape(-1, window, table.shape[1])
    means = np.log(np.nanmean(table, axis=1) + 1e-9)
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    for line, (name, (column, colour)) in enumerate(CURVES.items()):
        x = np.linspace(40, PLOT[0] - 10, len(means))
        y = 20 + (high - means[:, column]) / (high - low + 1e-9) * (PLOT[1] - 40)
        points = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
        pen.line([tuple(map(float, p)) for p in points], fill=colour, width=2)
        pen.text((PLOT[0] - 200, 14 + 14 * line), name, fill=colour)
    pen.text((2, 14), f"{np.exp(high):.3f}", fill="black")
    pen.text((2, PLOT[1] - 24), f"{np.exp(low):.3f}", fill="black")
    pen.text((40, PLOT[1] - 14), f"{len(history)} steps", fill="black")
    return plot


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        export(given.out, Path(folder))
        samples(load_tiny(folder=Path(folder)), given.rows, given.seed).save(
            given.out / "samples.png"
        )
    history = torch.load(given.out / "transformer.pt", weights_only=False)["history"]
    losses(history).save(given.out / "loss.png")


if __name__ == "__main__":
    main()
