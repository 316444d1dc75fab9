"""The number that an adapter's pairs are scaled by, as it is said beside the tensors of its file.

Knows the metadata that diffusers writes, and PEFT's `adapter_config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from framewire.worker.engine.checkpoint import CheckpointError

_CONFIG = "adapter_config.json"
_METADATA = "lora_adapter_metadata"


def said_alpha(path: Path) -> float | None:
    """The alpha of all of a file's pairs, where its metadata or PEFT's file beside it says.

    Of metadata, only a safetensors file has any.

    Raises:
        CheckpointError: what is said cannot be read, or is no plain alpha.
    """
    try:
        metadata = _metadata(path)
        texts = [metadata[_METADATA]] if _METADATA in metadata else []
        beside = path.with_name(_CONFIG)
        if beside.is_file():
            texts.append(beside.read_text(encoding="utf-8"))
        for text in texts:
            said = json.loads(text)
            if isinstance(said, dict) and (found := _of(said, path)) is not None:
                return found
    except CheckpointError:
        raise
    except (OSError, OverflowError, RecursionError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: its alpha cannot be read ({error})") from error
    return None


def _metadata(path: Path) -> Mapping[str, str]:
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _of(said: Mapping[str, object], path: Path) -> float | None:
    for start in ("transformer.", ""):
        for other in ("use_rslora", "alpha_pattern"):
            if said.get(start + other):
                raise CheckpointError(
                    f"{path}: is made with {other}, by which alphas count otherwise than can be read"
                )
        alpha = said.get(f"{start}lora_alpha")
        if isinstance(alpha, int | float) and not isinstance(alpha, bool):
            return float(alpha)
    return None
