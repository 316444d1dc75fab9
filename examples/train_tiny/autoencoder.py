"""Train the small autoencoder: `python -m train_tiny.autoencoder --out OUT` from `examples/`.

Owns its loss and its loop. An object's pixels weigh more than the background's, latents are
normalised and noised while training, so that the decoder forgives the transformer's errors.
"""

import argparse
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm
from train_tiny.clips import FIRST_FRAMES, random_clip, thing_pixels
from train_tiny.optimizers import Optimizers
from train_tiny.world import HEIGHT, WIDTH

from framewire.worker.engine.tiny.vae import TinyVae

CROP = 96
MUON_RATE, ADAM_RATE = 4e-3, 2e-3
LATENT_NOISE = 0.1
OBJECT_WEIGHT, STAR_WEIGHT = 8.0, 3.0


def batch(rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Crops of clips: frames in [-1, 1] [B, 12, 3, CROP, CROP], and weights [B, 12, 1, ., .].

    The first frame stands four times, as at the start of an encoder's stream.
    """
    pictures, weights = [], []
    for _ in range(count):
        clip = random_clip(rng, change=rng.random() < 0.4)
        first = int(rng.integers(0, len(clip.frames) - FIRST_FRAMES + 1))
        chosen = slice(first, first + FIRST_FRAMES)
        frames = clip.frames[chosen]
        scenes = ([clip.before] * FIRST_FRAMES + [clip.after] * 12)[chosen]
        things = thing_pixels(frames, scenes)
        y, x = _corner(rng, things)
        window = (slice(None), slice(y, y + CROP), slice(x, x + CROP))
        frames, things = frames[window], things[window]
        if rng.random() < 0.15:  # other colours than the world's, for pictures from outside
            frames = frames[..., rng.permutation(3)]
            frames = 255 - frames if rng.random() < 0.5 else frames
        held = [0, 0, 0, *range(FIRST_FRAMES)]
        pictures.append(np.ascontiguousarray(frames[held]))
        stars = (frames.min(axis=-1) > 130) & (frames.max(axis=-1) < 235) & ~things
        weight = 1 + (OBJECT_WEIGHT - 1) * grown(things)[held].astype(np.float32)
        weights.append(weight + (STAR_WEIGHT - 1) * stars[held])
    pixels = torch.from_numpy(np.stack(pictures)).movedim(-1, 2).float() / 127.5 - 1
    return pixels, torch.from_numpy(np.stack(weights))[:, :, None]


def grown(things: NDArray[np.bool_], by: int = 4) -> NDArray[np.bool_]:
    """A mask [T, H, W] with so many more pixels on every side.

    Weighed to their very edge only, things would come out too large: an uncertain edge would
    better be theirs.
    """
    for axis in (1, 2):
        spread = [np.roll(things, shift, axis) for shift in range(-by, by + 1)]
        things = np.logical_or.reduce(spread)
    return things


def _corner(rng: np.random.Generator, things: NDArray[np.bool_]) -> tuple[int, int]:
    """A crop's corner, drawn until there is some of a thing in it (or eight times)."""
    for _ in range(8):
        y, x = int(rng.integers(0, HEIGHT - CROP + 1)), int(rng.integers(0, WIDTH - CROP + 1))
        if things[:, y : y + CROP, x : x + CROP].sum() > 2000:
            break
    return y, x


def loss_of(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 and squared error, and L1 of the differences between neighbouring pixels."""
    error = made - wanted
    across = error[..., 1:] - error[..., :-1]
    down = error[..., 1:, :] - error[..., :-1, :]
    return (
        (weight * (error.abs() + 2 * error.square())).mean()
        + (weight[..., 1:] * across.abs()).mean()
        + (weight[..., 1:, :] * down.abs()).mean()
    )


def train(
    rank: int, out: Path, steps: int, seed: int, size: int, threads: int, parts: int, port: int
) -> None:
    """Train for so many steps, going on from `out/autoencoder.pt` if it is there.

    Every one of `parts` processes has a batch of its own; gradients are averaged.
    """
    torch.set_num_threads(threads)
    if parts > 1:
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=parts)
    torch.manual_seed(seed)
    model = TinyVae()
    optimizers = _optimizers(model)
    file = out / "autoencoder.pt"
    done, history = 0, []
    if file.exists():
        saved = torch.load(file)
        model.load_state_dict(saved["model"])
        optimizers.load_state_dict(saved["optimizers"])
        done, history = saved["done"], saved["history"]
    torch.manual_seed(seed + 1000 * rank)
    bar = tqdm(range(done, steps), initial=done, total=steps, mininterval=10, disable=rank > 0)
    for step in bar:
        loss = _loss(model, np.random.default_rng((seed, step, rank)), size, step)
        optimizers.step(loss, step, steps)
        history.append(float(loss.detach()))
        if step % 50 == 49 or step + 1 == steps:
            bar.set_description(f"loss {np.mean(history[-50:]):.4f}")
        if rank == 0 and (step % 200 == 199 or step + 1 == steps):
            out.mkdir(parents=True, exist_ok=True)
            state = {"model": model.state_dict(), "optimizers": optimizers.state_dict()}
            torch.save({**state, "done": step + 1, "history": history}, file.with_suffix(".tmp"))
            file.with_suffix(".tmp").replace(file)


def _loss(model: TinyVae, rng: np.random.Generator, size: int, step: int) -> Tensor:
    """A batch's loss; moves the latents' mean and deviation along."""
    frames, weight = batch(rng, size)
    with torch.autocast("cpu", torch.bfloat16):
        raw = model.encoder(frames, model.encoder.open()).float()
        mean = raw.mean(dim=(0, 1, 3, 4))[:, None, None]
        std = raw.std(dim=(0, 1, 3, 4))[:, None, None] + 1e-4
        with torch.no_grad():
            pace = 1.0 if step == 0 else 0.02
            model.latent_mean.lerp_(mean, pace)
            model.latent_std.lerp_(std, pace)
        z = (raw - mean) / std
        made = model.decode_clips(z + LATENT_NOISE * torch.randn_like(z)).float()
    loss: Tensor = loss_of(made, frames, weight) + 1e-4 * raw.square().mean()
    return loss


def _optimizers(model: nn.Module) -> Optimizers:
    """Muon on the convolutions' kernels, AdamW on their biases."""
    parameters = list(model.parameters())
    return Optimizers(
        [p for p in parameters if p.ndim > 1],
        [p for p in parameters if p.ndim == 1],
        muon_rate=MUON_RATE,
        adam_rate=ADAM_RATE,
        warm_up=30,
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=6, help="of every process")
    parser.add_argument("--threads", type=int, default=1, help="of every process")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--port", type=int, default=29510)
    given = parser.parse_args()
    started = time.monotonic()
    parts = given.processes
    rest = (given.out, given.steps, given.seed, given.batch, given.threads, parts, given.port)
    cast(Any, mp).spawn(train, rest, nprocs=parts)
    print(f"{given.steps} steps, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
