"""`framewire stream` as a user runs it, and every frame of what it saved."""

import asyncio
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 240.0
"""Seconds for streams of a few seconds on an idle machine."""


@dataclass(frozen=True)
class Streamed:
    """One run: its exit code, the SHA-256 of each frame, its JSON, and what it said beside."""

    code: int
    frames: list[str]
    found: dict[str, Any]
    said: str


async def streamed(folder: Path, *arguments: str, url: str | None = None) -> Streamed:
    """Run it with a folder of frames and `--json`; without a URL on a worker of its own."""
    out = _new_folder(folder)
    where = [] if url is None else ["--url", url]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", "stream", *arguments, *where),
        *("--out", f"{out}/", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "FRAMEWIRE_BACKEND": "testcard"},
    )
    try:
        said, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    frames = [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("frame_*.jpg"))
    ]
    found = json.loads(said) if said.strip() else {}
    return Streamed(process.returncode or 0, frames, found, error.decode())


def _new_folder(folder: Path) -> Path:
    out = folder / f"frames_{len(list(folder.glob('frames_*')))}"
    out.mkdir()
    return out


def first_difference(one: list[str], other: list[str]) -> int | None:
    """The first frame that is not the same in both; None where all are."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), None)
