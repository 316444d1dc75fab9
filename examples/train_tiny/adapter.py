"""Train a low-rank adapter of the shipped model: `python -m train_tiny.adapter STYLE --to FOLDER`.

Owns the pairs of matrices that are trained, their data (the world in a style, encoded by the shipped
autoencoder) and the file that comes of it. The model itself stays as it is.
"""

import argparse
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from train_tiny.batches import ClipSet
from train_tiny.clips import BLOCK_FRAMES, FIRST_FRAMES, Clip, random_clip, random_starts
from train_tiny.forward import FRAMES, Rows, TrainingForward
from train_tiny.latents import GROUP, Label, Latents, encode
from train_tiny.styles import STYLES, Style
from train_tiny.transformer import roll
from train_tiny.world import HEIGHT, WIDTH, Frames

from framewire.worker.engine.tiny.model import load_tiny
from framewire.worker.engine.tiny.vae import TinyVae

RATE = 4e-3
WARM_UP = 10


class Pair(nn.Module):
    """A linear layer that stays as it is, and the two matrices beside it that are trained."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        """Begin with no effect."""
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of x [..., in], and what the pair adds."""
        made: Tensor = self.base(x)
        return made + F.linear(F.linear(x, self.down), self.up)


def add_pairs(blocks: nn.Module, rank: int) -> dict[str, Pair]:
    """Put a pair beside every linear layer of the blocks; they by their layers' names."""
    layers = [(n, m) for n, m in blocks.named_modules() if isinstance(m, nn.Linear)]
    pairs = {}
    for name, layer in layers:
        owner, _, leaf = name.rpartition(".")
        pairs[name] = Pair(layer, rank)
        setattr(blocks.get_submodule(owner), leaf, pairs[name])
    return pairs


def in_style(clip: Clip, style: Style) -> Frames:
    """A clip's frames [21, H, W, 3] drawn in a style."""
    return style(clip.frames, [clip.before] * FIRST_FRAMES + [clip.after] * BLOCK_FRAMES)


def styled_set(vae: TinyVae, style: Style, clips: int, starts: int, seed: int) -> ClipSet:
    """What `train_tiny.latents` makes, in a style."""
    latents: list[Latents] = []
    labels: list[Label] = []
    for first in tqdm(range(0, clips, GROUP), desc="clips", mininterval=10):
        rng = np.random.default_rng((seed, first))
        group = [random_clip(rng, change=i % 4 < 3) for i in range(GROUP)]
        latents.append(encode(vae, [in_style(clip, style) for clip in group]))
        labels += [Label(clip.before, clip.after, clip.cells) for clip in group]
    first_latents: list[Latents] = []
    first_labels: list[Label] = []
    rng = np.random.default_rng((seed, 1))
    for _ in tqdm(range(starts), desc="starts", mininterval=10):
        places = random_starts(rng)
        shown = [in_style(clip, style)[:FIRST_FRAMES] for clip in places]
        first_latents.append(encode(vae, shown)[None])
        cells = np.stack([clip.cells[:FRAMES] for clip in places])
        first_labels.append(Label(places[0].before, places[0].before, cells))
    return ClipSet((np.concatenate(latents), labels), (np.concatenate(first_latents), first_labels))


def train(style: str, to: Path, *, steps: int, rank: int, clips: int, seed: int) -> Path:
    """Train and write `STYLE.safetensors`: half precision, diffusers' names."""
    torch.manual_seed(seed)
    engine = load_tiny()
    text = cast(Any, engine.shared.text_encoder)
    data = styled_set(cast(TinyVae, engine.vae), STYLES[style], clips, clips // 2, seed)
    model: Any = engine.transformer.model
    pairs = add_pairs(model.blocks, rank)
    trained = [part for pair in pairs.values() for part in (pair.down, pair.up)]
    rows = Rows(contexts=4, draws=2, firsts=8)
    forward = TrainingForward(model, rows, HEIGHT // 8, WIDTH // 8)
    own = Rows(contexts=0, draws=1, firsts=rows.own)
    rolling = TrainingForward(model, own, HEIGHT // 8, WIDTH // 8)
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    bar = tqdm(range(steps), desc=style, mininterval=10)
    for step in bar:
        rng = np.random.default_rng((seed, step))
        batch = data.batch(rng, rows, text)
        roll(rolling, batch, text, rng)
        with torch.autocast("cpu", torch.bfloat16):
            flow = forward(batch.x, batch.timesteps, text(batch.ids))[rows.contexts :]
        loss = (batch.weight * (flow - batch.flow).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        warmed = min(1.0, (step + 1) / WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = RATE * warmed * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")
    tensors = {}
    for name, pair in pairs.items():
        for part, value in (("lora_A", pair.down), ("lora_B", pair.up)):
            tensors[f"transformer.blocks.{name}.{part}.weight"] = value.detach().half().contiguous()
    to.mkdir(parents=True, exist_ok=True)
    file = to / f"{style}.safetensors"
    save_file(tensors, file, {"format": "pt", "steps": str(steps)})
    return file


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("style", choices=sorted(STYLES))
    parser.add_argument("--to", type=Path, default=Path("../worker/engine/tiny/adapters"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--clips", type=int, default=480)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    file = train(
        given.style,
        given.to,
        steps=given.steps,
        rank=given.rank,
        clips=given.clips,
        seed=given.seed,
    )
    print(f"{file.stat().st_size / 1e6:.2f} MB in {file}")


if __name__ == "__main__":
    main()
