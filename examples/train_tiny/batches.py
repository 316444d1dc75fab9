"""Batches for the transformer: which noise, which noise levels, which captions.

Owns the mix. The first pass of a stream sees nothing but noise; for that one level the noise is
paired with the clip: of its patches where streams start, the strongest lies where the thing is. So
the place follows from the noise and the first guess is sharp, while the noise stays white: patches
of it are exchanged, nothing else.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from train_tiny.captions import caption
from train_tiny.forward import FRAMES, Rows
from train_tiny.latents import Label
from train_tiny.world import START_COLUMNS, START_ROW, Scene

from framewire.worker.engine.tiny_text import TinyTextEncoder

SAMPLED = (1.0, 0.9088, 0.714)
"""Noise levels of the passes that count when four steps are taken at shift 5."""
SHIFT = 3.0
CONTEXT_NOISE = 0.2
CELL_WEIGHT = 5.0


@dataclass(frozen=True)
class Batch:
    """Rows for `TrainingForward`: contexts, later blocks, first blocks.

    Attributes:
        x: [R, 3, C, h, w]; `timesteps`: [R]; `ids`: [R, L].
        flow: what noisy rows should predict; `weight`: of its squared error, [noisy, 3, 1, h, w].
        sigma: noise levels of noisy rows.
        starts: paired noise of the last rows, whose x the model itself has to make; `clean`: what
            it should come to; `depth`: after so many passes.
    """

    x: Tensor
    timesteps: Tensor
    ids: Tensor
    flow: Tensor
    weight: Tensor
    sigma: Tensor
    starts: Tensor
    clean: Tensor
    depth: int


class ClipSet:
    """The encoded clips, drawn at random."""

    def __init__(self, latents: NDArray[np.float16], labels: list[Label]) -> None:
        """Take the latents [N, 6, C, h, w] and labels of all clips."""
        self.latents, self.labels = latents, labels
        fresh = np.array([label.fresh for label in labels])
        self.fresh, self.all = np.flatnonzero(fresh), np.arange(len(labels))

    def batch(
        self, rng: np.random.Generator, rows: Rows, text: TinyTextEncoder, rolled: int = 0
    ) -> Batch:
        """Draw a batch, of which the last `rolled` first blocks are the model's own to make."""
        depth = 1 + int(rng.integers(2))
        makers = [self._later(rng, rows.draws, text) for _ in range(rows.contexts)]
        firsts = [self._first(rng, text) for _ in range(rows.firsts - rolled)]
        own = [self._first(rng, text, SAMPLED[0]) for _ in range(rolled)]
        firsts += [replace(row, sigma=SAMPLED[depth]) for row in own]
        contexts, laters = [m[0] for m in makers], [row for m in makers for row in m[1]]
        noisy = laters + firsts
        x0 = torch.stack([row.x0 for row in noisy])
        noise = torch.stack([row.noise for row in noisy])
        sigma = torch.tensor([row.sigma for row in noisy])
        level = sigma[:, None, None, None, None]
        cells = torch.stack([row.cells for row in noisy])[:, :, None]
        weight = (1 + (CELL_WEIGHT - 1) * cells) * (level / level.clamp(min=0.2)) ** 2
        mixed = (1 - level) * x0 + level * noise
        context = [c[0] for c in contexts]
        ids = [c[1] for c in contexts] + [row.ids for row in noisy]
        return Batch(
            torch.cat([torch.stack(context), mixed]) if context else mixed,
            torch.cat([torch.zeros(len(context)), 1000 * sigma]),
            torch.tensor(ids),
            noise - x0,
            weight,
            sigma,
            noise[len(noise) - rolled :],
            x0[len(x0) - rolled :],
            depth,
        )

    def _clip(self, index: int) -> tuple[Tensor, Label]:
        return torch.from_numpy(self.latents[index].astype(np.float32)), self.labels[index]

    def _first(
        self, rng: np.random.Generator, text: TinyTextEncoder, sigma: float | None = None
    ) -> "_Row":
        latents, label = self._clip(int(rng.choice(self.fresh)))
        x0 = latents[:FRAMES]
        sigma = _sigma(rng) if sigma is None else sigma
        noise = _noise(rng, x0)
        if sigma == 1.0:
            noise = pair(noise, label.spot)
        said = _said(rng, label.before, None)
        return _Row(x0, noise, sigma, text.ids(said), torch.from_numpy(label.cells[:FRAMES]))

    def _later(
        self, rng: np.random.Generator, draws: int, text: TinyTextEncoder
    ) -> tuple[tuple[Tensor, list[int]], list["_Row"]]:
        """A context, and blocks that follow it; sometimes input pictures, of another scene."""
        latents, label = self._clip(int(rng.choice(self.all)))
        cut = rng.random() < 0.06
        past, past_label = self._clip(int(rng.choice(self.all))) if cut else (latents, label)
        context = past[:FRAMES]
        if rng.random() < 0.6:
            level = rng.uniform(0, CONTEXT_NOISE)
            context = (1 - level) * context + level * _noise(rng, context)
        held = all(thing.motion == "still" for thing in label.before.things)
        scene = label.after if held and rng.random() < 0.5 else past_label.before
        told = text.ids(_said(rng, scene, None))
        x0, cells = latents[FRAMES:], torch.from_numpy(label.cells[FRAMES:])
        rows = []
        for _ in range(draws):
            sigma = float(rng.uniform(0.2, 0.88)) if cut else _sigma(rng)
            said = _said(rng, label.after, None if cut else label.before)
            rows.append(_Row(x0, _noise(rng, x0), sigma, text.ids(said), cells))
        return (context, told), rows


@dataclass(frozen=True)
class _Row:
    x0: Tensor
    noise: Tensor
    sigma: float
    ids: list[int]
    cells: Tensor


def pair(noise: Tensor, spot: tuple[int, int]) -> Tensor:
    """Exchange two patches of noise [3, C, h, w], so that the strongest one lies at `spot`.

    Strong is what sums up high, on one channel of the first latent frame.

    Args:
        spot: row and column on the grid of 2x2 cells, one of those where a stream may start.
    """
    patches = noise.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).clone()  # [3, C, h/2, 2, w/2, 2]
    row, column = spot
    if row == START_ROW and column in START_COLUMNS:
        strength = patches[0, 0, START_ROW].sum(dim=(0, 2))  # [w/2]
        best = max(START_COLUMNS, key=lambda place: float(strength[place]))
        here, there = (patches[:, :, row, :, c].clone() for c in (column, best))
        patches[:, :, row, :, column] = there
        patches[:, :, row, :, best] = here
    return patches.flatten(4, 5).flatten(2, 3)


def _sigma(rng: np.random.Generator) -> float:
    """A noise level: mostly one of those that sampling visits, else any, shifted to noise."""
    kind = rng.random()
    if kind < 0.34:
        return SAMPLED[0]
    if kind < 0.75:
        near = SAMPLED[1 if kind < 0.55 else 2]
        return float(np.clip(near + rng.normal() * 0.02, 0.0, 1.0))
    even = rng.uniform(0.02, 1.0)
    return float(SHIFT * even / (1 + (SHIFT - 1) * even))


def _said(rng: np.random.Generator, scene: Scene, before: Scene | None) -> str:
    """A caption; one in ten is empty, two in ten leave something out."""
    kind = rng.random()
    if kind < 0.1 and (before is None or before == scene):
        return ""
    left_out = 0.35 if kind < 0.3 else 0.0
    return caption(scene, rng, left_out=left_out, instead_of=before)


def _noise(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(like.shape), dtype=np.float32))
