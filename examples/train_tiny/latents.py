"""Make the transformer's training set: `python -m train_tiny.latents --out OUT` from `examples/`.

Owns the file of encoded clips (`latents.npy`) and what goes with it (`clips.pkl`). Half of the
clips start like a stream, half in the middle of one; of each, three quarters change at the second
block.
"""

import argparse
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm
from train_tiny.clips import Clip, random_clip
from train_tiny.world import HEIGHT, WIDTH, Scene

from framewire.worker.engine.tiny_vae import TinyVae

LATENTS = 6
GROUP = 16


@dataclass(frozen=True)
class Label:
    """What is known of an encoded clip; see `Clip`."""

    before: Scene
    after: Scene
    fresh: bool
    cells: NDArray[np.bool_]
    spot: tuple[int, int]


def load_autoencoder(out: Path) -> TinyVae:
    """The trained autoencoder."""
    vae = TinyVae()
    vae.load_state_dict(torch.load(out / "autoencoder.pt")["model"])
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: TinyVae, clips: list[Clip]) -> Tensor:
    """Latents [N, 6, C, h, w] as streams from their first frame have them."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips])).movedim(-1, 2)
    frames = frames.float() / 127.5 - 1
    held = torch.cat([frames[:, :1].expand(-1, 3, -1, -1, -1), frames], 1)
    with torch.autocast("cpu", torch.bfloat16):
        return vae.encode_clips(held).float()


def make(out: Path, count: int, seed: int, part: int, parts: int) -> None:
    """Make one of several parts; each can run in a process of its own."""
    vae = load_autoencoder(out)
    shape = (count, LATENTS, vae.latent_channels, HEIGHT // 8, WIDTH // 8)
    latents = np.lib.format.open_memmap(
        out / f"latents{part}.npy", mode="w+", dtype=np.float16, shape=shape
    )
    labels: list[tuple[object, ...]] = []
    for first in tqdm(range(0, count, GROUP), mininterval=10):
        rng = np.random.default_rng((seed, part, first))
        clips = [
            random_clip(rng, fresh=i % 2 == 0, change=i % 8 < 6)
            for i in range(first, min(first + GROUP, count))
        ]
        latents[first : first + len(clips)] = encode(vae, clips).numpy()
        labels += [(c.before, c.after, c.fresh, c.cells, c.spot) for c in clips]
    latents.flush()
    (out / f"clips{part}.pkl").write_bytes(pickle.dumps(labels))
    print(f"part {part} of {parts}: {count} clips")


def load(out: Path) -> tuple[NDArray[np.float16], list[Label]]:
    """All parts' latents [N, 6, C, h, w] and labels."""
    latents = [np.load(file, mmap_mode="r") for file in sorted(out.glob("latents*.npy"))]
    labels = [
        Label(*x) for f in sorted(out.glob("clips*.pkl")) for x in pickle.loads(f.read_bytes())
    ]
    return np.concatenate(latents), labels


def main() -> None:
    """Read the command line and make the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    make(given.out, given.clips, given.seed, given.part, given.parts)


if __name__ == "__main__":
    main()
