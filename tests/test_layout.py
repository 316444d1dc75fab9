"""The house keeps its shape: packages are listed, arrows point inward, imports do nothing."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("client", "protocol", "worker")
MAX_LINES = 500
READERS_OF_THE_ENVIRONMENT = {
    "client/cli.py",
    "client/credentials.py",
    "client/local_worker.py",  # hands it on to the worker that it starts
    "worker/cli.py",  # the worker's entry points hand it to the config
    "worker/config.py",
    "worker/on_fal/app.py",
}
OPTIONAL = {"fal"}
"""Extras that need not be installed where the tests run."""
ENGINE_MAY_NOT = {"asyncio", "socket", "fastapi", "starlette", "uvicorn", "websockets"}
OUTER = {"server", "cli", "on_fal", "bench"}
"""The worker's outermost ring; what lies inside knows none of it."""


def _sources(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.is_file()
    )


FILES = _sources(*PARTS)


def _short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _module(path: Path) -> str:
    """`client/savers/base.py` -> `framewire.client.savers.base`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("framewire", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path) -> set[str]:
    """Every module that `path` imports anywhere, for types only or within a function too."""
    package = _module(path) if path.name == "__init__.py" else _module(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            start = ".".join(base if node.level else []) + ("." if node.level else "")
            module = f"{start}{node.module}" if node.module else start.rstrip(".")
            # `from . import name` and `from package import name` may name modules.
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def _reaches(imported: set[str], target: str) -> bool:
    return any(name == target or name.startswith(f"{target}.") for name in imported)


def _printed(*arguments: str) -> object:
    """The JSON that an interpreter of its own prints, and nothing but that."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _loaded_by(code: str) -> set[str]:
    """The top-level packages that are loaded after `code` ran."""
    listing = "import json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    names = _printed("-c", f"{code}\n{listing}")
    assert isinstance(names, list)
    return set(names)


def test_every_folder_with_python_files_is_a_listed_package() -> None:
    """A package left out works in an editable install and is missing from the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {
        "framewire." + path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES
    }
    assert sorted(folders) == project["tool"]["setuptools"]["packages"]


def test_every_package_has_an_init_and_there_is_no_root_package() -> None:
    assert [
        _short(path.parent) for path in FILES if not (path.parent / "__init__.py").is_file()
    ] == []
    assert not (ROOT / "framewire").exists()
    assert all((ROOT / part / "py.typed").is_file() for part in PARTS)


def test_the_protocol_knows_nobody() -> None:
    allowed = set(sys.stdlib_module_names) | {"msgpack", "pydantic"}
    for path in _sources("protocol"):
        for name in _imports(path):
            assert name.split(".")[0] in allowed or _reaches({name}, "framewire.protocol"), (
                f"{_short(path)} imports {name}"
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
    assert [_short(path) for path in _sources(folder) if _reaches(_imports(path), never)] == []


def test_the_engine_knows_no_protocol_no_session_and_no_socket() -> None:
    for path in _sources("worker/engine"):
        for name in _imports(path):
            ours = name.startswith("framewire.") and not _reaches({name}, "framewire.worker.engine")
            assert not ours and name.split(".")[0] not in ENGINE_MAY_NOT, (
                f"{_short(path)} imports {name}"
            )


def test_backends_know_each_other_the_engine_and_where_weights_are_only() -> None:
    parts = ("backends", "engine", "models")
    inner = [f"framewire.worker.{part}" for part in parts]
    for path in _sources("worker/backends"):
        for name in _imports(path):
            if name.startswith("framewire."):
                assert any(_reaches({name}, each) for each in inner), f"{_short(path)}: {name}"


def test_what_serves_knows_the_session_and_not_the_other_way_round() -> None:
    inside = [
        path
        for path in _sources("worker")
        if OUTER.isdisjoint(path.relative_to(ROOT / "worker").with_suffix("").parts)
    ]
    for path in inside:
        for outer in OUTER:
            assert not _reaches(_imports(path), f"framewire.worker.{outer}"), _short(path)
    for path in _sources("worker/sessions"):
        for framework in ("fastapi", "starlette", "uvicorn", "websockets"):
            assert not _reaches(_imports(path), framework), f"{_short(path)} imports {framework}"


def test_no_parent_relative_imports() -> None:
    for path in FILES:
        for node in ast.walk(_tree(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), _short(path)


def test_the_client_loads_neither_torch_nor_numpy_nor_a_web_server() -> None:
    heavy = {"torch", "numpy", "av", "PIL", "fastapi", "starlette", "uvicorn", "simplejpeg"}
    loaded = _loaded_by("import framewire.client, framewire.client.cli")
    assert "websockets" in loaded
    assert loaded & heavy == set()


def test_a_worker_with_the_testcard_loads_no_torch() -> None:
    loaded = _loaded_by(
        "from framewire.worker.backends import choose\n"
        "from framewire.worker.config import Config\n"
        "from framewire.worker.server.app import create_app\n"
        "backend, why = choose('testcard')\n"
        "create_app(Config(backend='testcard'), backend)\n"
        "backend.load()\n"
    )
    assert {"fastapi", "numpy"} <= loaded
    assert loaded & {"torch", "torchvision", "diffusers", "transformers", "av"} == set()


def _place(name: str) -> tuple[int, list[tuple[int, int | str]]]:
    """Ruff's order (RUF022): constants, classes, functions, each with numbers counted."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    natural = re.findall(r"\d+|\D+", name)
    return kind, [(0, int(part)) if part.isdigit() else (1, part) for part in natural]


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=_short)
def test_a_package_lists_all_that_it_offers_in_order(path: Path) -> None:
    offered: set[str] = set()
    listed: list[str] = []
    for node in _tree(path).body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            ours = node.level or (node.module or "").startswith("framewire.")
            offered |= {alias.asname or alias.name for alias in node.names if ours}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            offered.add(node.name)
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if names == {"__all__"}:
                listed = ast.literal_eval(node.value)
            else:
                offered |= names
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            offered.add(node.target.id)
    assert sorted(listed) == sorted(name for name in offered if not name.startswith("_"))
    assert listed == sorted(listed, key=_place)


@pytest.mark.parametrize("folder", [*PARTS, "examples", "tests"])
def test_no_file_is_longer_than_it_should_be(folder: str) -> None:
    files = [
        path
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js", ".css", ".html") and path.is_file()
    ]
    lengths = {_short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lengths.items() if count > MAX_LINES} == {}


def test_every_module_says_what_it_is() -> None:
    assert [_short(path) for path in FILES if not ast.get_docstring(_tree(path))] == []


def _environment_reads(tree: ast.Module) -> Iterator[ast.AST]:
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias for alias in node.names if alias.name in names)


def test_the_environment_is_read_in_known_places_only_and_never_by_an_import() -> None:
    readers = {_short(path) for path in FILES if any(_environment_reads(_tree(path)))}
    assert readers <= READERS_OF_THE_ENVIRONMENT
    for name in readers:
        tree = _tree(ROOT / name)
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for statement in function.body
            for node in ast.walk(statement)
        }
        assert all(id(node) in inside for node in _environment_reads(tree)), name


def _does_something(node: ast.stmt) -> bool:
    """Whether a statement of a module does more than name things."""
    if isinstance(node, ast.Expr):
        return not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    if isinstance(node, ast.If):
        test = ast.unparse(node.test)
        return test not in ("TYPE_CHECKING", "__name__ == '__main__'") and any(
            _does_something(child) for child in (*node.body, *node.orelse)
        )
    if isinstance(node, ast.Try):
        return any(_does_something(child) for child in (*node.body, *node.orelse))
    return isinstance(node, ast.For | ast.While | ast.With | ast.Delete | ast.Assert | ast.Raise)


def test_no_module_does_anything_but_name_things() -> None:
    doing = [
        f"{_short(path)}:{node.lineno}"
        for path in FILES
        for node in _tree(path).body
        if _does_something(node)
    ]
    assert doing == []


def test_importing_every_module_has_no_effect() -> None:
    """No thread, no output, no logging set up, no signal taken, torch as it was."""
    script = str(Path(__file__).with_name("support") / "import_everything.py")
    effects = _printed(script, *(_module(path) for path in FILES))
    assert isinstance(effects, dict)
    assert effects["changed"] == []
    assert set(effects["missing"]) <= OPTIONAL
