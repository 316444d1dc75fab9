"""The table of published weights, and which of its files lie on this machine.

Reads `catalogue.json` beside it and the local cache; asks no network. Loads no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file of a repository on the hub.

    Attributes:
        part: what it is a part of: transformer, text_encoder, tokenizer, vae or taehv.
        bytes: its size, rounded as the hub's pages show it; the hub knows it exactly.
        sha256: what its bytes must hash to, where it is pinned here and not only by the hub.
        wanted_by: the option that needs it; empty where everyone does.
    """

    part: str
    repo: str
    path: str
    bytes: int
    licence: str
    sha256: str = ""
    wanted_by: str = ""

    def local(self, cache_dir: Path | None = None) -> Path | None:
        """Where it lies in the hub's cache (`HF_HOME`), or None."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, self.path, cache_dir=cache_dir)
        return Path(found) if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One preset's weights.

    Attributes:
        needs: what one GPU must have; `several` how it is on more of them.
    """

    preset: str
    title: str
    licence: str
    needs: str
    several: str = ""
    files: tuple[PublishedFile, ...]

    def wanted(self, option: str = "") -> tuple[PublishedFile, ...]:
        """The files that everyone needs, and those that `option` needs."""
        return tuple(file for file in self.files if file.wanted_by in ("", option))

    def missing(self, option: str = "", cache_dir: Path | None = None) -> list[PublishedFile]:
        """The wanted files that aren't here."""
        return [file for file in self.wanted(option) if file.local(cache_dir) is None]

    def paths(self, part: str, cache_dir: Path | None = None) -> list[Path]:
        """Where the files of a part lie.

        Raises:
            FileNotFoundError: one isn't here; says how to get it.
        """
        paths = []
        for file in self.files:
            if file.part != part:
                continue
            path = file.local(cache_dir)
            if path is None:
                raise FileNotFoundError(
                    f"{file.repo}/{file.path} isn't here: framewire-worker pull {self.preset}"
                )
            paths.append(path)
        return paths


@cache
def catalogue() -> Mapping[str, Entry]:
    """All presets with published weights, by name."""
    source = resources.files(__package__) / "catalogue.json"
    return parse(json.loads(source.read_text(encoding="utf-8")))


def parse(table: Mapping[str, Any]) -> dict[str, Entry]:
    """Entries from the form that `catalogue.json` has."""
    return {
        name: Entry(
            preset=name,
            title=entry["title"],
            licence=entry["licence"],
            needs=entry["needs"],
            several=entry.get("several", ""),
            files=tuple(PublishedFile(**file) for file in entry["files"]),
        )
        for name, entry in table.items()
    }


def gigabytes(count: float) -> str:
    """A size in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
