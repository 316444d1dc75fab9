"""One word, one thing: names that gave way to others don't come back."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.import_graph import FILES, ROOT, python_files, short, syntax_tree

EVERYWHERE = [*FILES, *python_files("examples", "tests")]
RETIRED = {
    "AllowRule": "AllowedHosts",
    "Course": "Replay",
    "DrainFirst": "DrainOnSignal",
    "HealingWire": "ReconnectingWire",
    "Host": "Worker; a host is a name on the network",
    "Inlet": "InputQueue",
    "Intake": "InputEncoder",
    "Keeper": "Context",
    "Saw": "PassObserver",
    "Served": "ServablePreset",
    "StepLanes": "StreamBatch",
    "Surroundings": "PassInputs",
    "allow_rule": "allowed_hosts",
    "attend_lanes": "attend_rows",
    "drain_first": "drain_on_signal",
    "flow_of_lanes": "flow_of_batch",
    "healing_wire": "reconnect.wire",
    "heals": "is_worth_retrying",
    "inlet": "input_queue",
    "intake": "input_encoder",
    "keeper": "context",
    "_inlet": "_input",
    "_keeper": "_context",
    "_new_inlet": "_new_input",
    "_settle": "_resolve_settings, or _deliver",
    "served": "servable_presets",
    "settle": "resolve_settings, or stop_compiling",
    "settling": "settings",
    "step_lanes": "stream_batch",
    "surroundings": "inputs",
}
"""What was once so called, and what it is called now."""


@cache
def _names(path: Path) -> frozenset[str]:
    """What a file is called, and all that it defines, imports and sets on an object."""
    return frozenset(_found(path))


def _found(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(syntax_tree(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=other):
                yield from name.split(".")
                yield other or name


def _all_names(path: Path) -> Iterator[str]:
    """Parameters, keywords and variables too."""
    yield from _names(path)
    for node in ast.walk(syntax_tree(path)):
        match node:
            case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.Name(id=name):
                yield name
            case ast.Attribute(attr=name):
                yield name


@pytest.mark.parametrize("old", RETIRED)
def test_nothing_is_defined_or_imported_by_an_old_name(old: str) -> None:
    bearers = [short(path) for path in EVERYWHERE if old in _names(path)]
    assert bearers == [], f"it is {RETIRED[old]} now"


def test_a_lane_is_the_thread_that_backends_run_on_and_nothing_else() -> None:
    """The class stands in one place, and the engine, which knows no thread, has no lanes."""
    lane = ROOT / "worker" / "runtime" / "lane.py"
    defining = {
        path
        for path in EVERYWHERE
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.ClassDef) and node.name == "Lane"
    }
    assert defining == {lane}
    engine = python_files("worker/engine")
    words = {short(path): {w for n in _all_names(path) for w in n.split("_")} for path in engine}
    assert [path for path, found in words.items() if found & {"lane", "lanes"}] == []
