"""Arrows between the parts point down, and what lies inside knows nothing of what lies around it."""

import ast
import sys

import pytest
from support.import_graph import (
    FILES,
    MODULES,
    all_reached,
    imports,
    lies_in,
    python_files,
    reaches,
    short,
    syntax_tree,
)

ENGINE_MAY_NOT = {"asyncio", "socket", "fastapi", "starlette", "uvicorn", "websockets"}
WEB_FRAMEWORKS = ("fastapi", "starlette", "uvicorn", "websockets")
SETTINGS = {"allowed_hosts", "config", "naming", "reachable", "settings"}
MAY_IMPORT = {
    "protocol": set[str](),
    "allowed_hosts": set[str](),
    "lifeline": set[str](),
    "reachable": set[str](),
    "naming": set[str](),
    "tls": set[str](),
    "engine": set[str](),
    "settings": {"engine"},
    "models": {"engine", "protocol"},
    "config": {"allowed_hosts", "engine", "models", "naming", "protocol", "settings"},
    "sdk_env": {"tls", *SETTINGS},
    "testing": {"sdk_env", "settings", "tls"},
    "backends.base": set[str](),
    "backends": {"backends.base", "engine", "models"},
    "runtime": {"backends.base", "protocol", *SETTINGS},
    "sessions": {"backends.base", "runtime", "protocol", *SETTINGS},
    "clips": {"backends.base", "runtime", "protocol", *SETTINGS},
    "server": {"backends.base", "runtime", "sessions", "clips", "protocol", "tls", *SETTINGS},
    "on_ray": {"backends", "runtime", "server", "protocol", *SETTINGS},
    "on_fal": {"backends", "runtime", "sessions", "clips", "server", "protocol", *SETTINGS},
}
"""The parts of the worker from the bottom up, and those that each may name; the command line and
the bench may name all."""
OUTERMOST = {"__main__", "cli", "bench", "plan"}
ENGINE_ORDER = ("engine", "generation", "context", "denoising", "network")
ENGINE_LEAVES = ("checkpoint", "interfaces", "params", "preset", "schedule", "text", "vae")


def _part(module: str) -> str:
    """`framewire.worker.clips.maker` -> `clips`, and the seam of the backends is one of its own."""
    if lies_in(module, "framewire.worker.backends.base"):
        return "backends.base"
    names = module.split(".")[1:]
    return names[1] if names[0] == "worker" and len(names) > 1 else names[0]


def test_the_protocol_knows_nobody() -> None:
    allowed = set(sys.stdlib_module_names) | {"msgpack", "pydantic"}
    for path in python_files("protocol"):
        for name in imports(path):
            assert name.split(".")[0] in allowed or reaches({name}, "framewire.protocol"), (
                f"{short(path)} imports {name}"
            )


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("client", "framewire.worker"),
        ("client", "torch"),
        ("client", "fastapi"),
        ("worker", "framewire.client"),
        ("worker/engine", "framewire.protocol"),
    ],
)
def test_arrows_point_inward(folder: str, never: str) -> None:
    assert [short(path) for path in python_files(folder) if reaches(imports(path), never)] == []


def test_the_engine_knows_no_protocol_no_session_and_no_socket() -> None:
    for path in python_files("worker/engine"):
        for name in imports(path):
            ours = name.startswith("framewire.") and not reaches({name}, "framewire.worker.engine")
            assert not ours and name.split(".")[0] not in ENGINE_MAY_NOT, (
                f"{short(path)} imports {name}"
            )


def test_each_part_of_the_worker_names_only_those_below_it() -> None:
    """A part that stands nowhere in the table has to be given its place first."""
    wrong = []
    for module, path in MODULES.items():
        part = _part(module)
        if not lies_in(module, "framewire.worker") or part in {"worker", *OUTERMOST}:
            continue
        assert part in MAY_IMPORT, f"{short(path)} stands in a part that has no place yet"
        named = {_part(name) for name in imports(path) if name in MODULES}
        wrong += [f"{short(path)} imports {each}" for each in named - MAY_IMPORT[part] - {part}]
    assert wrong == []


def test_the_parts_of_the_worker_stand_in_an_order() -> None:
    """The table itself has no two parts that may name each other, and sessions and clips neither."""
    placed: set[str] = set()
    for part, below in MAY_IMPORT.items():
        assert below <= placed, f"{part} may name what stands above it: {below - placed}"
        placed.add(part)
    assert "sessions" not in MAY_IMPORT["clips"]


@pytest.mark.parametrize("framework", WEB_FRAMEWORKS)
def test_sessions_reach_no_web_framework_directly_or_through_others(framework: str) -> None:
    inside = [module for module in MODULES if lies_in(module, "framewire.worker.sessions")]
    assert inside
    assert [module for module in inside if reaches(all_reached(module), framework)] == []


@pytest.mark.parametrize(("one", "other"), [("sessions", "clips"), ("clips", "sessions")])
def test_a_session_and_a_clip_know_nothing_of_each_other(one: str, other: str) -> None:
    """Neither directly nor through others: what they share stands in runtime."""
    inside = [module for module in MODULES if lies_in(module, f"framewire.worker.{one}")]
    target = f"framewire.worker.{other}"
    assert inside
    assert [module for module in inside if reaches(all_reached(module), target)] == []


@pytest.mark.parametrize("part", [*ENGINE_ORDER, *ENGINE_LEAVES])
def test_the_engine_is_built_from_generation_down_to_the_network(part: str) -> None:
    """Generation, context, denoising, network: each reaches those after it only."""
    engine = "framewire.worker.engine"
    above = ENGINE_ORDER[: ENGINE_ORDER.index(part)] if part in ENGINE_ORDER else ENGINE_ORDER
    inside = [module for module in MODULES if lies_in(module, f"{engine}.{part}")]
    assert inside
    for module in inside:
        reached = all_reached(module)
        assert [name for name in above if reaches(reached, f"{engine}.{name}")] == [], module


def test_no_parent_relative_imports() -> None:
    for path in FILES:
        for node in ast.walk(syntax_tree(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), short(path)
