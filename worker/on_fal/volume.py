"""Where weights and compiled kernels are kept between runners: on a volume that outlives them.

Kernels are compiled for one kind of GPU, so each kind has a folder of its own.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import MutableMapping
from pathlib import Path

logger = logging.getLogger(__name__)

FAL_VOLUME = Path("/data")


def use_volume(root: Path, environ: MutableMapping[str, str], gpu: str) -> None:
    """Point downloads and compile caches to `root`, unless `environ` says otherwise already.

    Nothing happens where `root` is no folder that can be written to.
    """
    if not root.is_dir() or not os.access(root, os.W_OK):
        logger.info("no volume at %s: weights and kernels are not kept", root)
        return
    compiled = root / "framewire" / "compiled" / gpu
    for name, folder in (
        ("HF_HOME", root / ".cache" / "huggingface"),
        ("TORCHINDUCTOR_CACHE_DIR", compiled / "inductor"),
        ("TRITON_CACHE_DIR", compiled / "triton"),
    ):
        Path(environ.setdefault(name, str(folder))).mkdir(parents=True, exist_ok=True)


def gpu_name() -> str:
    """The GPU's name as a folder name, such as `nvidia-h100-80gb-hbm3`; `cpu` where none is.

    Asked of the driver's tool, so that no CUDA context is made.
    """
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "cpu"
    names = found.stdout.splitlines()
    return re.sub(r"[^a-z0-9]+", "-", names[0].lower()).strip("-") if names else "cpu"
