"""Make the transformer's training set: `python -m train_tiny.latents --out OUT` from `examples/`.

Owns the files of encoded pictures and of what goes with them, a pair a part: clips of two blocks from
the middle of streams (`clips0.npy`, `clips0.pkl`), of which three quarters change at the second
block, and first blocks, each scene from every place where a stream can start (`starts0.npy`, …).
"""

import argparse
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from train_tiny.clips import FIRST_FRAMES, random_clip, random_starts
from train_tiny.forward import FRAMES
from train_tiny.world import Scene

from framewire.worker.engine.tiny.vae import TinyVae

GROUP = 16
Latents = NDArray[np.float16]


@dataclass(frozen=True)
class Label:
    """What is known of an encoded clip; see `Clip`. Cells of a start are [places, 3, h, w]."""

    before: Scene
    after: Scene
    cells: NDArray[np.bool_]


def load_autoencoder(out: Path) -> TinyVae:
    """The trained autoencoder."""
    vae = TinyVae()
    vae.load_state_dict(torch.load(out / "autoencoder.pt")["model"])
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: TinyVae, clips: list[NDArray[np.uint8]]) -> Latents:
    """Latents [N, F, C, h, w] of clips [4F - 3, H, W, 3], as streams have them from their start."""
    frames = torch.from_numpy(np.stack(clips)).movedim(-1, 2).float() / 127.5 - 1
    held = torch.cat([frames[:, :1].expand(-1, 3, -1, -1, -1), frames], 1)
    with torch.autocast("cpu", torch.bfloat16):
        return vae.encode_clips(held).half().numpy()


def make(out: Path, clips: int, starts: int, seed: int, part: int) -> None:
    """Make one of several parts; each can run in a process of its own."""
    vae = load_autoencoder(out)
    latents: list[Latents] = []
    labels: list[Label] = []
    for first in tqdm(range(0, clips, GROUP), desc="clips", mininterval=10):
        rng = np.random.default_rng((seed, part, first))
        group = [random_clip(rng, change=i % 4 < 3) for i in range(GROUP)]
        latents.append(encode(vae, [clip.frames for clip in group]))
        labels += [Label(clip.before, clip.after, clip.cells) for clip in group]
    save(out, f"clips{part}", np.concatenate(latents), labels)
    latents, labels = [], []
    for first in tqdm(range(0, starts, GROUP), desc="starts", mininterval=10):
        rng = np.random.default_rng((seed, part, 1, first))
        for _ in range(GROUP):
            places = random_starts(rng)
            latents.append(encode(vae, [clip.frames[:FIRST_FRAMES] for clip in places])[None])
            scene, cells = places[0].before, np.stack([clip.cells[:FRAMES] for clip in places])
            labels.append(Label(scene, scene, cells))
    save(out, f"starts{part}", np.concatenate(latents), labels)


def save(out: Path, name: str, latents: Latents, labels: list[Label]) -> None:
    """Write latents and their labels."""
    np.save(out / f"{name}.npy", latents)
    fields = [(label.before, label.after, label.cells) for label in labels]
    (out / f"{name}.pkl").write_bytes(pickle.dumps(fields))


def load(out: Path, name: str) -> tuple[Latents, list[Label]]:
    """All parts of `clips` ([N, 6, C, h, w]) or of `starts` ([N, places, 3, C, h, w])."""
    parts = sorted(out.glob(f"{name}*.npy"))
    if not parts:
        raise SystemExit(f"no {name} in {out}: run `python -m train_tiny.latents` first")
    fields = [x for part in parts for x in pickle.loads(part.with_suffix(".pkl").read_bytes())]
    return np.concatenate([np.load(part) for part in parts]), [Label(*x) for x in fields]


def main() -> None:
    """Read the command line and make the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--starts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    make(given.out, given.clips, given.starts, given.seed, given.part)


if __name__ == "__main__":
    main()
