"""The table of weights, published and the user's own, and which of the files lie on this machine.

Reads `catalogue.json` beside it, what `own` keeps, and the local cache; asks no network. Loads no
torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from framewire.worker.engine.preset import PRESETS, Preset

from .own import OwnModel, own_models
from .places import on_hub


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file of a repository on the hub, or of a user's own.

    Attributes:
        part: what it is a part of: transformer, adapter, text_encoder, tokenizer, vae or taehv.
        bytes: its size, rounded as the hub's pages show it; the hub knows it exactly.
        assumed: that is the size of a file like it, since its own was not seen.
        sha256: what its bytes must hash to, where it is pinned here and not only by the hub.
        wanted_by: the option that needs it; empty where everyone does.
        at: the path of a user's own file, which has no repository.
    """

    part: str
    repo: str
    path: str
    bytes: int
    licence: str
    sha256: str = ""
    wanted_by: str = ""
    at: str = ""
    assumed: bool = False

    @property
    def name(self) -> str:
        """What to call it."""
        return self.at or f"{self.repo}/{self.path}"

    @property
    def config(self) -> PublishedFile | None:
        """Of an adapter, what PEFT writes beside it and its alpha is in; repositories may lack it."""
        is_peft = self.part in ("lora", "adapter") and self.path.endswith((".safetensors", ".bin"))
        if self.at or not is_peft:
            return None
        folder, slash, _ = self.path.rpartition("/")
        path = f"{folder}{slash}adapter_config.json"
        return replace(self, part="config", path=path, bytes=0, sha256="")

    def local(self, cache_dir: Path | None = None) -> Path | None:
        """Where it lies in the hub's cache (`HF_HOME`), or None."""
        if self.at:
            return Path(self.at) if Path(self.at).is_file() else None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, self.path, cache_dir=cache_dir)
        return Path(found) if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One preset's weights.

    Attributes:
        base: the published model that a user's own comes from; empty of these themselves.
        best_at: what it is chosen for, in a few words.
        needs: what one GPU must have; `several` how it is on more of them.
        notice: what whoever pulls or serves it must know of its licence; empty where nothing.
    """

    preset: str
    title: str
    licence: str
    needs: str
    base: str = ""
    best_at: str = ""
    several: str = ""
    notice: str = ""
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
                way = "put it there" if file.at else f"framewire-worker pull {self.preset}"
                raise FileNotFoundError(f"{file.name} isn't here: {way}")
            paths.append(path)
        return paths


def catalogue() -> Mapping[str, Entry]:
    """All presets with weights, by name: the published ones, and behind them the user's own.

    Raises:
        OwnModelError: one of the user's was changed by hand, and is none now.
    """
    return {**published(), **{name: _own_entry(model) for name, model in own_models().items()}}


def presets() -> Mapping[str, Preset]:
    """The presets of the same names."""
    return {**PRESETS, **{name: model.preset for name, model in own_models().items()}}


def _own_entry(model: OwnModel) -> Entry:
    """The base's, but for what is the user's own."""
    base = published()[model.base]
    replaced = {*model.files, *(("adapter",) if model.has_own_whole else ())}
    own = []
    for part, place in model.files.items():
        repo, path = on_hub(place) or ("", Path(place).name)
        at = "" if repo else place
        size = Path(at).stat().st_size if at and Path(at).is_file() else 0
        own.append(
            PublishedFile(part=part, repo=repo, path=path, bytes=size, licence=model.licence, at=at)
        )
    kept = (file for file in base.files if file.part not in replaced)
    return replace(
        base,
        preset=model.name,
        title=model.title or f"yours, from {model.base}",
        licence=model.licence,
        notice=". ".join(said for said in (model.notice, base.notice) if said),
        base=model.base,
        best_at=model.best_at or base.best_at,
        files=(*own, *kept),
    )


@cache
def published() -> Mapping[str, Entry]:
    """All presets with published weights, by name."""
    source = resources.files(__package__) / "catalogue.json"
    table = json.loads(source.read_text(encoding="utf-8"))
    return parse(table["models"], table["shared"])


def parse(table: Mapping[str, Any], shared: Mapping[str, Any] | None = None) -> dict[str, Entry]:
    """Entries from the form that `catalogue.json` has.

    Args:
        shared: lists of files by name, for entries that have files `with` those of one.
    """
    lists = {"": [], **(shared or {})}
    return {
        name: Entry(
            preset=name,
            title=entry["title"],
            licence=entry["licence"],
            needs=entry["needs"],
            best_at=entry.get("best_at", ""),
            several=entry.get("several", ""),
            notice=entry.get("notice", ""),
            files=tuple(
                PublishedFile(**file) for file in (*entry["files"], *lists[entry.get("with", "")])
            ),
        )
        for name, entry in table.items()
    }


def gigabytes(count: float) -> str:
    """A size in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
