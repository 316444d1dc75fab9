"""Importing a module does nothing: it loads little, changes nothing, reads no environment."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator

from support.import_graph import FILES, ROOT, module_name, short, syntax_tree

READERS_OF_THE_ENVIRONMENT = {
    "client/cli.py",
    "client/commands/terminal.py",
    "client/credentials.py",
    "client/live_input/sources/devices.py",  # which screen
    "client/local_worker.py",  # hands it on to the worker that it starts
    "worker/backends/children.py",  # hands some of it on to the processes that it starts
    "worker/backends/ranks/group.py",  # tells gloo and NCCL to stay on this machine
    "worker/cli.py",  # the worker's entry points hand it to the config
    "worker/config.py",
    "worker/on_fal/app.py",
    "worker/on_ray/app.py",
    "worker/runtime/decoding_process.py",  # hands some of it on to the process that it starts
    "worker/sdk_env/command.py",  # whose settings the worker's are too
    "worker/testing/running.py",  # hands it on to the worker that it starts
}
OPTIONAL = {"fal", "ray"}
"""Extras that need not be installed where the tests run."""


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


def _environment_reads(tree: ast.Module) -> Iterator[ast.AST]:
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias for alias in node.names if alias.name in names)


def test_the_environment_is_read_in_known_places_only_and_never_by_an_import() -> None:
    readers = {short(path) for path in FILES if any(_environment_reads(syntax_tree(path)))}
    assert readers <= READERS_OF_THE_ENVIRONMENT
    for name in readers:
        tree = syntax_tree(ROOT / name)
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
        f"{short(path)}:{node.lineno}"
        for path in FILES
        for node in syntax_tree(path).body
        if _does_something(node)
    ]
    assert doing == []


def test_importing_every_module_has_no_effect() -> None:
    """No thread, no output, no logging set up, no signal taken, torch as it was."""
    script = str(ROOT / "tests" / "support" / "import_everything.py")
    effects = _printed(script, *(module_name(path) for path in FILES))
    assert isinstance(effects, dict)
    assert effects["changed"] == []
    assert set(effects["missing"]) <= OPTIONAL
