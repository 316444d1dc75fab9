"""Batches for the transformer: which noise, which noise levels, which captions.

Owns the mix, and from where a stream starts: it may start in a few places, and the caption doesn't
say in which. So the target of a first block that is little more than noise is the one, of the same
scene in all its places, that its noise already resembles most (as in Immiscible Diffusion, Li et
al. 2024, https://arxiv.org/abs/2406.12303). The noise stays white and sampling needs nothing special,
but what is to be learned is one place, not the blur of all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from train_tiny.captions import caption
from train_tiny.forward import FRAMES, Rows
from train_tiny.latents import Label, Latents
from train_tiny.world import Scene

from framewire.worker.engine.tiny.text import TinyTextEncoder

SAMPLED = (1.0, 0.9088, 0.714)
"""Noise levels of the passes that count when four steps are taken at shift 5."""
SHIFT = 3.0
CONTEXT_NOISE = 0.2
CELL_WEIGHT = 5.0
LIVE = 0.3
"""The share of first blocks not of the model's own making that are noised input pictures."""


@dataclass(frozen=True)
class Batch:
    """Rows for `TrainingForward`: contexts, later blocks, first blocks.

    Attributes:
        x: [R, 3, C, h, w]; `timesteps`: [R]; `ids`: [R, L].
        flow: what noisy rows should predict; `weight`: of its squared error, [noisy, 3, 1, h, w].
        sigma: noise levels of noisy rows.
        own: the last rows, whose x the model itself has to make: in how many passes, from which
            noise, to which of their targets.
    """

    x: Tensor
    timesteps: Tensor
    ids: Tensor
    flow: Tensor
    weight: Tensor
    sigma: Tensor
    own: "Own"


@dataclass(frozen=True)
class Own:
    """First blocks that the model makes: `noise` [R, 3, C, h, w], targets `x0` and `cells` of each.

    Attributes:
        x0: [R, places, 3, C, h, w]; `cells`: [R, places, 3, 1, h, w].
    """

    noise: Tensor
    x0: Tensor
    cells: Tensor
    passes: int

    def target(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The flow from what x at a noise level resembles most, and weights of its error."""
        rows = torch.arange(len(x))
        chosen = nearest(x, self.x0)
        return (x - self.x0[rows, chosen]) / sigma, weights(self.cells[rows, chosen], sigma)


class ClipSet:
    """The encoded clips, drawn at random."""

    def __init__(
        self, clips: tuple[Latents, list[Label]], starts: tuple[Latents, list[Label]]
    ) -> None:
        """Take what `latents.load` gives of both kinds."""
        self.clips, self.starts = clips, starts

    def batch(self, rng: np.random.Generator, rows: Rows, text: TinyTextEncoder) -> Batch:
        """Draw a batch, of which the last `rows.own` blocks are the model's own to make."""
        makers = [self._later(rng, rows.draws, text) for _ in range(rows.contexts)]
        noisy = [row for _, later in makers for row in later]
        noisy += [self._first(rng, text) for _ in range(rows.firsts - rows.own)]
        passes = 1 + int(rng.integers(2))
        starts = [self._start(rng, text) for _ in range(rows.own)]
        noisy += [
            _Row(x0[0], noise, SAMPLED[passes], ids, cells[0]) for x0, cells, noise, ids in starts
        ]
        contexts = [context for context, _ in makers]
        clean = torch.stack([row.x0 for row in noisy])
        noises = torch.stack([row.noise for row in noisy])
        sigma = torch.tensor([row.sigma for row in noisy])
        level = sigma[:, None, None, None, None]
        return Batch(
            torch.cat([*(x[None] for x, _ in contexts), (1 - level) * clean + level * noises]),
            torch.cat([torch.zeros(len(contexts)), 1000 * sigma]),
            torch.tensor([ids for _, ids in contexts] + [row.ids for row in noisy]),
            noises - clean,
            weights(torch.stack([row.cells for row in noisy]), level),
            sigma,
            Own(
                noise=torch.stack([noise for _, _, noise, _ in starts]),
                x0=torch.stack([x0 for x0, _, _, _ in starts]),
                cells=torch.stack([cells for _, cells, _, _ in starts]),
                passes=passes,
            ),
        )

    def _clip(self, rng: np.random.Generator) -> tuple[Tensor, Label]:
        latents, labels = self.clips
        index = int(rng.integers(len(labels)))
        return torch.from_numpy(latents[index].astype(np.float32)), labels[index]

    def _start(
        self, rng: np.random.Generator, text: TinyTextEncoder
    ) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """A first block in all its places, their cells, noise, and a caption."""
        latents, labels = self.starts
        index = int(rng.integers(len(labels)))
        x0 = torch.from_numpy(latents[index].astype(np.float32))
        cells = torch.from_numpy(labels[index].cells)[:, :, None]
        ids = text.ids(_said(rng, labels[index].before, None))
        return x0, cells, _noise(rng, x0[0]), ids

    def _first(self, rng: np.random.Generator, text: TinyTextEncoder) -> "_Row":
        """A stream's first block; sometimes input pictures, of anything in any place."""
        if rng.random() < LIVE:
            latents, label = self._clip(rng)
            ids = text.ids(_said(rng, label.before, None, vague=0.5))
            x0, cells = latents[:FRAMES], torch.from_numpy(label.cells[:FRAMES])[:, None]
            return _Row(x0, _noise(rng, x0), float(rng.uniform(0.2, 0.88)), ids, cells)
        x0, cells, noise, ids = self._start(rng, text)
        sigma = _sigma(rng)
        place = int(nearest(noise[None], x0[None])) if sigma == 1.0 else rng.integers(len(x0))
        return _Row(x0[place], noise, sigma, ids, cells[place])

    def _later(
        self, rng: np.random.Generator, draws: int, text: TinyTextEncoder
    ) -> tuple[tuple[Tensor, list[int]], list["_Row"]]:
        """A context, and blocks that follow it; sometimes input pictures, of another scene."""
        latents, label = self._clip(rng)
        cut = rng.random() < 0.06
        past, past_label = self._clip(rng) if cut else (latents, label)
        context = past[:FRAMES]
        if rng.random() < 0.6:
            level = rng.uniform(0, CONTEXT_NOISE)
            context = (1 - level) * context + level * _noise(rng, context)
        held = all(thing.motion == "still" for thing in label.before.things)
        scene = label.after if held and rng.random() < 0.5 else past_label.before
        told = text.ids(_said(rng, scene, None))
        x0, cells = latents[FRAMES:], torch.from_numpy(label.cells[FRAMES:])[:, None]
        rows = []
        for _ in range(draws):
            sigma = float(rng.uniform(0.2, 0.88)) if cut else _sigma(rng)
            said = _said(rng, label.after, None if cut else label.before, vague=0.35)
            rows.append(_Row(x0, _noise(rng, x0), sigma, text.ids(said), cells))
        return (context, told), rows


@dataclass(frozen=True)
class _Row:
    x0: Tensor
    noise: Tensor
    sigma: float
    ids: list[int]
    cells: Tensor


def nearest(x: Tensor, x0: Tensor) -> Tensor:
    """Which of its targets [R, places, ...] each x [R, ...] has the largest product with: [R]."""
    return (x[:, None] * x0).flatten(2).sum(-1).argmax(1)


def weights(cells: Tensor, sigma: Tensor | float) -> Tensor:
    """Weights of the flow's squared error: a thing's cells count more, low noise levels less.

    Below a level of 0.2 the error of x0 counts the same at all levels, above it that of the flow.
    """
    level = torch.as_tensor(sigma)
    return (1 + (CELL_WEIGHT - 1) * cells) * (level / level.clamp(min=0.2)) ** 2


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


def _said(rng: np.random.Generator, scene: Scene, before: Scene | None, vague: float = 0.2) -> str:
    """A caption; one in ten is empty, a share of `vague` leaves something out."""
    kind = rng.random()
    if kind < 0.1 and (before is None or before == scene):
        return ""
    left_out = 0.35 if kind < 0.1 + vague else 0.0
    return caption(scene, rng, left_out=left_out, instead_of=before)


def _noise(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(like.shape), dtype=np.float32))
