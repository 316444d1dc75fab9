"""A user's own models: descendants of published ones, each from a TOML file, kept in their home.

Owns that file's form and where its content is kept. Asks no network and opens no weights.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from framewire.worker.engine.preset import PRESETS, Preset

from .differences import DifferenceError, check_together, checked_difference, known_differences
from .places import file_at, on_hub

EXAMPLE = """\
name = "our-fox-1.3b"
base = "self-forcing-1.3b"
title = "Self-Forcing, tuned on foxes"      # may be left out, as all that follows
licence = "CC-BY-4.0"
notice = "made from films of ours"          # said when it is pulled
best_at = "foxes"

[files]                                     # the others are those of the base
transformer = "fox.safetensors"             # beside this file, or OWNER/REPOSITORY/FILE on the hub

[differences]                               # from the base, by the names of a preset
num_denoising_steps = 3
sections = ["generator_ema"]
"""
PARTS = ("transformer", "adapter", "vae")
_WORDS = ("title", "licence", "notice", "best_at")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_TAKEN = re.compile(r"auto|wan|testcard|tiny(-.*)?|add|remove")


class OwnModelError(ValueError):
    """It cannot be added; the message says what is wrong with it, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """What a file says, its paths absolute.

    Attributes:
        files: by part, a path or a name on the hub; the other parts are those of the base.
        differences: fields of the preset that are not as the base has them.
    """

    name: str
    base: str
    title: str = ""
    licence: str = "not said"
    notice: str = ""
    best_at: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    differences: Mapping[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        """The base's preset with the differences."""
        merged = {"adapter_section": ""} if self.has_own_whole else {}
        return replace(PRESETS[self.base], name=self.name, **(merged | dict(self.differences)))

    @property
    def has_own_whole(self) -> bool:
        """Whether its transformer is complete without the adapter that the base has."""
        return "transformer" in self.files and "adapter" not in self.files


def folder() -> Path:
    """Where they are kept."""
    return Path.home() / ".config" / "framewire" / "models"


def own_models() -> dict[str, OwnModel]:
    """All that were added, by name.

    Raises:
        OwnModelError: one was changed by hand, and is none now.
    """
    found = {}
    for path in sorted(folder().glob("*.json")):
        try:
            model = _checked(json.loads(path.read_text(encoding="utf-8")), path)
        except (OSError, ValueError, RecursionError) as error:
            said = str(error) if isinstance(error, OwnModelError) else f"{path}: {error}"
            raise OwnModelError(
                f"{said}; to forget it: framewire-worker models remove {path.stem}"
            ) from None
        found[model.name] = model
    return found


def add(path: Path) -> OwnModel:
    """Read a TOML file and keep what it says, in the place of what had its name before.

    Raises:
        OwnModelError: says what is wrong, and what would be right.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OwnModelError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise OwnModelError(f"{path}: no TOML: {error}") from None
    model = _checked(table, path)
    for part, place in model.files.items():
        if on_hub(place) is None and file_at(place) is None:
            raise OwnModelError(f"{path}: files: {part} {place!r}: no such file")
    _check_loop(model, path)
    kept = _kept(model.name)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OwnModelError(f"{kept}: cannot be kept: {error.strerror}") from None
    return model


def remove(name: str) -> None:
    """Forget a model; its files stay.

    Raises:
        OwnModelError: there is none of this name.
    """
    if name not in kept_names():
        raise OwnModelError(f"no model of yours is called {name!r}")
    _kept(name).unlink()


def kept_names() -> set[str]:
    """Of all that were added, those that were spoilt since too."""
    return {path.stem for path in folder().glob("*.json")}


def _kept(name: str) -> Path:
    return folder() / f"{name}.json"


def _checked(table: Any, path: Path) -> OwnModel:
    if not isinstance(table, dict):
        raise OwnModelError(f"{path}: no table of keys")
    known = ("name", "base", *_WORDS, "files", "differences")
    _refuse_unknown(table, known, f"{path}")
    for key in ("name", "base", *_WORDS):
        if key not in table and key not in _WORDS:
            raise OwnModelError(f"{path}: it has no {key}")
        if not isinstance(table.get(key, ""), str):
            raise OwnModelError(f"{path}: {key} must be a text")
    for key in ("files", "differences"):
        if not isinstance(table.get(key, {}), dict):
            raise OwnModelError(f"{path}: {key} must be a table, [{key}]")
    name, base = table["name"], table["base"]
    if not _NAME.fullmatch(name):
        raise OwnModelError(
            f"{path}: name {name!r}: expected small letters, digits, '.', '_' and '-', 64 at most"
        )
    if name in PRESETS or _TAKEN.fullmatch(name):
        raise OwnModelError(f"{path}: name {name!r} is another model's: choose another one")
    if base not in PRESETS:
        raise OwnModelError(f"{path}: base {base!r}: choose one of {', '.join(PRESETS)}")
    differences = _differences(table.get("differences", {}), f"{path}: differences")
    files = _files(table.get("files", {}), path)
    if not differences and not files:
        raise OwnModelError(f"{path}: it is its base: give [files], [differences] or both")
    words = {key: table[key] for key in _WORDS if table.get(key)}
    model = OwnModel(name=name, base=base, files=files, differences=differences, **words)
    try:
        check_together(model.preset)
    except DifferenceError as error:
        raise OwnModelError(f"{path}: differences: {error}") from None
    return model


def _files(table: Mapping[str, Any], path: Path) -> dict[str, str]:
    _refuse_unknown(table, PARTS, f"{path}: files")
    found = {}
    for part, place in table.items():
        if not isinstance(place, str) or not place.strip():
            raise OwnModelError(f"{path}: files: {part} must be a path, or a name on the hub")
        found[part] = str(file_at(place, path.parent) or place)
    return found


def _differences(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    _refuse_unknown(table, known_differences(), source)
    try:
        return {name: checked_difference(name, value) for name, value in table.items()}
    except DifferenceError as error:
        raise OwnModelError(f"{source}: {error}") from None


def _check_loop(model: OwnModel, path: Path) -> None:
    """What only the engine knows of a preset; it is asked again before it is served."""
    try:
        from framewire.worker.engine.context.memory import check_loop
        from framewire.worker.engine.options import EngineOptions
        from framewire.worker.engine.params import StreamParams
    except ModuleNotFoundError:  # without torch nothing is served here
        return
    try:
        check_loop(model.preset, EngineOptions())
        StreamParams.of(model.preset)
    except ValueError as error:
        raise OwnModelError(f"{path}: {error}") from None


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], source: str) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise OwnModelError(f"{source}: no key {unknown[0]!r}: choose of {', '.join(known)}")
