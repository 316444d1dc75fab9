"""Each setting is defined once; command line, environment and build follow from its definition."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from framewire.worker import cli
from framewire.worker.config import Config
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.setting import Setting, check_settings, setting
from framewire.worker.models.setup import ModelSetup
from framewire.worker.settings import from_environment, made, settings_of, values_of

WORKER = Path(cli.__file__).resolve().parent
OPTIONS = list(settings_of(EngineOptions))


@dataclass(frozen=True, kw_only=True)
class Oven:
    """Settings within others."""

    heat: int = setting(180, "degrees", least=50, most=300)
    fan: bool = setting(False, "move the air")
    volts: int = 230

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Kitchen:
    """Settings around them."""

    cook: str = setting("none", "who cooks", choices=("none", "ann", "bob"))
    oven: Oven = field(default_factory=Oven)
    code: str = setting("", "opens the door", secret=True)


def changed(entry: Field[Any], about: Setting) -> Any:
    """A value other than the default, and a right one."""
    if about.choices:
        return next(choice for choice in about.choices if choice != entry.default)
    if isinstance(entry.default, bool):
        return not entry.default
    return entry.default + 1 if isinstance(entry.default, int) else "auto"


def served_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Config:
    """The config that the real command line would serve."""
    served: list[Config] = []

    def serve(config: Config, as_json: bool) -> int:
        served.append(config)
        return 0

    monkeypatch.setattr(cli, "_serve", serve)
    assert cli.main(["serve", *arguments]) == 0
    return served[0]


def given_names(path: Path) -> Iterator[str]:
    """What a file calls a field, an argument, a keyword or a string; reading `.name` is none."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_settings_stand_in_the_order_of_their_fields_with_those_within_in_their_place() -> None:
    assert [entry.name for entry, _ in settings_of(Kitchen)] == ["cook", "heat", "fan", "code"]


def test_an_object_is_made_of_settings_by_name_and_tells_them_but_for_secrets() -> None:
    kitchen = made(Kitchen, {"cook": "ann", "heat": 200, "code": "1234"})
    assert kitchen == Kitchen(cook="ann", oven=Oven(heat=200), code="1234")
    assert values_of(kitchen) == {"cook": "ann", "heat": 200, "fan": False, "code": "set"}
    assert "1234" not in repr(kitchen)


@pytest.mark.parametrize("name", ["volts", "oven", "speed"])
def test_what_is_no_setting_cannot_be_set(name: str) -> None:
    """Neither a field without help, nor the object that holds settings, nor a word of no meaning."""
    assert from_environment(Kitchen, {f"FRAMEWIRE_{name.upper()}": "1"}) == {}
    with pytest.raises(TypeError, match=f"Kitchen has no setting {name}"):
        made(Kitchen, {name: 1})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"heat": 49}, "heat must be at least 50, not 49"),
        ({"heat": 301}, "heat must be at most 300, not 301"),
        ({"cook": "eve"}, "cook 'eve': choose one of none, ann, bob"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_would_be_right(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_settings(made(Kitchen, values))


def test_no_name_is_defined_twice() -> None:
    counts = Counter(entry.name for entry, _ in settings_of(Config))
    assert [name for name, count in counts.items() if count > 1] == []


def test_the_help_of_serve_names_every_setting_and_says_what_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no word is cut at its hyphen
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for entry, about in settings_of(Config):
        assert f"--{entry.name.replace('_', '-')}" in said
        assert about.help in said


@pytest.mark.parametrize(("entry", "about"), OPTIONS, ids=[entry.name for entry, _ in OPTIONS])
def test_an_engine_option_reaches_the_build_from_the_environment_and_the_command_line(
    entry: Field[Any], about: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from framewire.worker.backends.presets import build_of

    value = changed(entry, about)
    option = f"--{entry.name.replace('_', '-')}"
    by_argument = served_with(monkeypatch, *((option,) if value is True else (option, str(value))))
    monkeypatch.setenv(f"FRAMEWIRE_{entry.name.upper()}", str(value))
    by_environment = served_with(monkeypatch)
    wanted = EngineOptions(**{entry.name: value})
    assert wanted != EngineOptions()
    assert build_of(by_argument.model).options == wanted
    assert build_of(by_environment.model).options == wanted


def test_nothing_between_the_command_line_and_the_engine_hands_an_option_on_by_name() -> None:
    """So that a new one is defined in one file, and named again only by the code that reads it."""
    from framewire.worker.engine.build import Build

    names = {entry.name for entry in fields(EngineOptions)}
    # The bench names what it compares, a speed what it is made of.
    inside = {WORKER / "engine", WORKER / "bench", WORKER / "backends/speed"}
    others = {
        "backends/presets.py": {"skip_zero"},  # tiny's usual path
        "models/differences.py": {"sink_frames"},  # a preset has some too
        "models/overview.py": {"sink_frames"},
    }
    paths = [path for path in WORKER.rglob("*.py") if inside.isdisjoint(path.parents)]
    assert WORKER / "cli.py" in paths and WORKER / "backends/presets.py" in paths
    found = {path.relative_to(WORKER).as_posix(): names & set(given_names(path)) for path in paths}
    assert {path: named for path, named in found.items() if named} == others
    for kind in (Build, ModelSetup, Config):
        assert names.isdisjoint(entry.name for entry in fields(kind))
