"""Who imports whom, read off the syntax trees: nothing is imported to find out.

An import counts wherever it stands, within a function or for types only too, and however it is
spelled: `from .x import y`, `from framewire.client.x import y` and `import framewire.client.x` are
one arrow.
"""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("client", "protocol", "worker")


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the repository."""
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.is_file()
    )


def short(path: Path) -> str:
    """`client/savers/base.py`"""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """`client/savers/base.py` -> `framewire.client.savers.base`"""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("framewire", *(parts[:-1] if parts[-1] == "__init__" else parts)))


FILES = python_files(*PARTS)
"""What is shipped."""
MODULES = {module_name(path): path for path in FILES}


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(tree: ast.Module, package: str) -> frozenset[str]:
    """Every module that a file in `package` with this tree imports.

    Of `from x import y`, `x.y` where that is one of our modules. What `import_module` is given in
    so many words counts too.
    """
    inside = package.split(".")
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=said, names=names, level=level):
                start = inside[: len(inside) + 1 - level] if level else []
                module = ".".join([*start, *([said] if said else [])])
                named = {f"{module}.{alias.name}" for alias in names}
                found |= {name if name in MODULES else module for name in named}
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
    return frozenset(found)


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that one of our files imports."""
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imports_of(syntax_tree(path), package)


def lies_in(name: str, package: str) -> bool:
    """Whether `name` is `package` or something in it."""
    return name == package or name.startswith(f"{package}.")


def reaches(imported: Iterable[str], target: str) -> bool:
    """Whether one of the modules imported is `target` or lies in it."""
    return any(lies_in(name, target) for name in imported)


@cache
def ours(module: str) -> frozenset[str]:
    """The modules of ours that `module` imports.

    Python also runs the `__init__` of each package on the way to a module: they count too, but
    for those that `module` lies in itself, which ran before it.
    """
    named = imports(MODULES[module]) & MODULES.keys()
    passed = {name.rsplit(".", count)[0] for name in named for count in range(1, name.count("."))}
    return named | {name for name in passed if not lies_in(module, name)}


def all_reached(module: str) -> set[str]:
    """All that is imported with `module`, directly or through others of ours."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        found = ours(waiting.pop()) - seen
        seen |= found
        waiting.extend(found)
    return {module, *seen}.union(*(imports(MODULES[name]) for name in (module, *seen)))
