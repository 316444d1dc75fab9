"""Train the transformer and its text encoder: `python -m train_tiny.transformer --out OUT`.

Owns the step, the moving average, the two processes and the checkpoints. Every process has a thread,
a share of each batch and the same weights.
"""

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from tqdm import tqdm
from train_tiny import forward
from train_tiny.batches import SAMPLED, Batch, ClipSet
from train_tiny.captions import vocabulary
from train_tiny.forward import Rows, TrainingForward
from train_tiny.latents import load
from train_tiny.optimizers import Optimizers
from train_tiny.world import HEIGHT, WIDTH

from framewire.worker.engine.tiny.model import build
from framewire.worker.engine.tiny.text import TinyTextEncoder

MUON_RATE, ADAM_RATE = 5e-3, 1.5e-3
EMA = 0.998


class Trainer:
    """One process's models and optimizers."""

    def __init__(self, out: Path, steps: int, seed: int, rows: Rows, rank: int) -> None:
        """Build or load everything."""
        torch.manual_seed(seed)
        self.out, self.steps, self.seed, self.rank = out, steps, seed, rank
        self.rows = rows
        transformer, _, self.text = build(vocabulary())
        self.models = nn.ModuleDict({"transformer": transformer, "text": self.text})
        self.forward = TrainingForward(transformer, rows, HEIGHT // 8, WIDTH // 8)  # type: ignore[arg-type]
        own = Rows(contexts=0, draws=1, firsts=rows.own)
        self.rolling = TrainingForward(transformer, own, HEIGHT // 8, WIDTH // 8)  # type: ignore[arg-type]
        self.average = {n: p.detach().clone() for n, p in self.models.named_parameters()}
        named = list(self.models.named_parameters())
        self.optimizers = Optimizers(
            [p for name, p in named if _for_muon(name, p)],
            [p for name, p in named if not _for_muon(name, p)],
            muon_rate=MUON_RATE,
            adam_rate=ADAM_RATE,
            warm_up=100,
        )
        self.done = 0
        self.history: list[tuple[float, ...]] = []
        self._load()
        self.clips = ClipSet(load(out, "clips"), load(out, "starts"))

    def step(self) -> tuple[float, ...]:
        """One step: the mean losses at the first noise level of first and of later blocks, and all."""
        rng = np.random.default_rng((self.seed, self.done, self.rank))
        batch = self.clips.batch(rng, self.rows, self.text)
        roll(self.rolling, batch, self.text, rng)
        with torch.autocast("cpu", torch.bfloat16):
            embeds = self.text(batch.ids)
            flow = self.forward(batch.x, batch.timesteps, embeds)[self.rows.contexts :]
        error = (batch.weight * (flow - batch.flow).square()).mean(dim=(1, 2, 3, 4))
        self.optimizers.step(error.mean(), self.done, self.steps)
        pace = 1 - min(EMA, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            for name, p in self.models.named_parameters():
                self.average[name].lerp_(p, pace)
        self.done += 1
        return self._losses(error.detach(), batch)

    def save(self) -> None:
        """Write the checkpoint whole, then put it in the place of the old one."""
        state = {
            "models": self.models.state_dict(),
            "average": self.average,
            "optimizers": self.optimizers.state_dict(),
            "done": self.done,
            "history": self.history,
            "vocabulary": vocabulary(),
        }
        torch.save(state, self.out / "transformer.tmp")
        (self.out / "transformer.tmp").replace(self.out / "transformer.pt")

    def _load(self) -> None:
        file = self.out / "transformer.pt"
        if not file.exists():
            return
        saved: dict[str, Any] = torch.load(file, weights_only=False)
        self.models.load_state_dict(saved["models"])
        self.average = saved["average"]
        self.optimizers.load_state_dict(saved["optimizers"])
        self.done, self.history = saved["done"], saved["history"]

    def _losses(self, error: Tensor, batch: Batch) -> tuple[float, ...]:
        first = batch.sigma == 1.0
        later = torch.arange(len(error)) < self.rows.later
        chosen = (first & ~later, first & later, torch.ones_like(first))
        return tuple(float(error[c].mean()) if c.any() else math.nan for c in chosen)


@torch.no_grad()
def roll(
    rolling: TrainingForward, batch: Batch, text: TinyTextEncoder, rng: np.random.Generator
) -> None:
    """Make the input of some first blocks as sampling does, from the model's own guesses.

    Args:
        rolling: the model's forward pass of as many first blocks as the batch has for it.
    """
    x, level = batch.own.noise, SAMPLED[0]
    with torch.autocast("cpu", torch.bfloat16):
        embeds = text(batch.ids[-len(x) :])
        for following in SAMPLED[1 : batch.own.passes + 1]:
            clean = x - level * rolling(x, torch.full((len(x),), 1000 * level), embeds)
            noise = rng.standard_normal(tuple(x.shape), dtype=np.float32)
            x, level = (1 - following) * clean + following * torch.from_numpy(noise), following
    batch.x[-len(x) :] = x
    batch.flow[-len(x) :], batch.weight[-len(x) :] = batch.own.target(x, level)


def _for_muon(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and "blocks." in name


def run(rank: int, out: Path, steps: int, until: int, seed: int, parts: int, port: int) -> None:
    """One process's training, up to step `until` of the `steps` that the learning rate is for."""
    torch.set_num_threads(1)
    if parts > 1:
        dist.init_process_group(
            "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=parts
        )
    forward.layer = torch.compile(forward.layer, dynamic=False)
    rows = Rows(contexts=6 // parts, draws=2, firsts=12 // parts)
    trainer = Trainer(out, steps, seed, rows, rank)
    bar = tqdm(total=steps, initial=trainer.done, mininterval=10, disable=rank > 0)
    saved = time.monotonic()
    while trainer.done < until:
        trainer.history.append(trainer.step())
        bar.update()
        if trainer.done % 50 == 0:
            recent = np.nanmean(np.array(trainer.history[-100:]), axis=0)
            bar.set_description("loss {2:.3f}, first pass {0:.3f} / {1:.3f}".format(*recent))
        if rank == 0 and (time.monotonic() - saved > 120 or trainer.done == until):
            trainer.save()
            saved = time.monotonic()
    if parts > 1:
        dist.destroy_process_group()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--until", type=int, help="stop here, to go on later")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, choices=(1, 2, 3))
    parser.add_argument("--port", type=int, default=29511)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    until = given.until or given.steps
    rest = (given.out, given.steps, until, given.seed, given.processes, given.port)
    if given.processes == 1:
        run(0, *rest)
    else:
        cast(Any, mp).spawn(run, rest, nprocs=given.processes)


if __name__ == "__main__":
    main()
