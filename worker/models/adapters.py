"""Adapters as an operator names them: a file, a shipped one, or one on the hub.

Owns the grammar of `--lora` and where each name leads on this machine. Asks no network and opens
no file.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .catalogue import PublishedFile
from .places import file_at, on_hub

if TYPE_CHECKING:
    from framewire.worker.engine.lora.chosen import ChosenAdapter

    from .setup import ModelSetup

ENDING = ".safetensors"
_SHIPPED_WITH = "tiny"
_MOST_LIVE, _MOST_MERGED = 2.0, 10.0


def chosen_adapters(setup: ModelSetup, preset: str) -> tuple[ChosenAdapter, ...]:
    """The adapters of a setup, each with its file on this machine.

    Raises:
        ValueError: one isn't here, or its strength is out of range; says what would be right.
    """
    from framewire.worker.engine.lora.chosen import ChosenAdapter

    found: dict[str, ChosenAdapter] = {}
    for said in setup.lora:
        text, strength = _parsed(said, _MOST_LIVE if setup.lora_live else _MOST_MERGED)
        path = _located(text, preset)
        name = path.stem
        if name in found:
            raise ValueError(f"lora {said!r}: there is another adapter {name!r}: rename one's file")
        found[name] = ChosenAdapter(path, name, strength)
    return tuple(found.values())


def published_adapter(text: str) -> PublishedFile | None:
    """`OWNER/REPOSITORY/FILE.safetensors` as that file; None of what is something else."""
    place = on_hub(text)
    if place is None or not text.endswith(ENDING):
        return None
    return PublishedFile(part="lora", repo=place[0], path=place[1], bytes=0, licence="its own")


def _parsed(said: str, most: float) -> tuple[str, float]:
    """A file's name and a strength, which is 1 where there is none."""
    text, equals, number = said.rpartition("=")
    if not equals or (number.endswith(ENDING) and "=" in said):
        return said, 1.0
    try:
        strength = float(number)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= most:
        raise ValueError(
            f"lora {said!r}: expected FILE[=STRENGTH], with a strength of 0 to {most:g}"
        )
    return text, strength


def _located(text: str, preset: str) -> Path:
    path = file_at(text)
    if path is not None:
        return path
    shipped = resources.files("framewire.worker") / "engine" / "tiny" / "adapters"
    if preset == _SHIPPED_WITH and re.fullmatch(r"\w+", text):
        one = file_at(f"{text}{ENDING}", Path(str(shipped)))
        if one is not None:
            return one
    published = published_adapter(text)
    if published is None:
        raise ValueError(
            f"lora {text!r}: no such file; expected the path of a {ENDING} file, or "
            f"OWNER/REPOSITORY/FILE{ENDING} on the hub"
        )
    local = published.local()
    if local is None:
        raise ValueError(f"lora {text!r}: not here; to get it: framewire-worker pull {text}")
    return local
