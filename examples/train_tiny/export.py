"""Write the shipped files: `python -m train_tiny.export --out OUT --to FOLDER` from `examples/`.

Owns their layout: `model.safetensors` (float16) with the parts' names as prefixes, and
`vocabulary.json`. The transformer's and text encoder's weights are the moving average's.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from framewire.worker.engine.tiny.model import VOCABULARY, WEIGHTS


def export(out: Path, folder: Path) -> int:
    """Write the files; the bytes of both."""
    saved: dict[str, Any] = torch.load(out / "transformer.pt", weights_only=False)
    tensors = dict(saved["average"])
    vae = torch.load(out / "autoencoder.pt")["model"]
    tensors |= {f"vae.{name}": value for name, value in vae.items()}
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: value.half().contiguous() for name, value in tensors.items()}
    save_file(halves, folder / WEIGHTS, {"format": "pt", "steps": str(saved["done"])})
    (folder / VOCABULARY).write_text(json.dumps(saved["vocabulary"]) + "\n", encoding="utf-8")
    return sum((folder / name).stat().st_size for name in (WEIGHTS, VOCABULARY))


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/tiny"))
    parser.add_argument("--to", type=Path, default=Path("../worker/engine/tiny/weights"))
    given = parser.parse_args()
    print(f"{export(given.out, given.to) / 1e6:.2f} MB in {given.to}")


if __name__ == "__main__":
    main()
