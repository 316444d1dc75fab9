"""Every package is listed, has an `__init__`, and says in order what it offers."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from support.import_graph import FILES, PARTS, ROOT, short, syntax_tree


def test_every_folder_with_python_files_is_a_listed_package() -> None:
    """A package left out works in an editable install and is missing from the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {
        "framewire." + path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES
    }
    assert sorted(folders) == project["tool"]["setuptools"]["packages"]


def test_every_package_has_an_init_and_there_is_no_root_package() -> None:
    assert [
        short(path.parent) for path in FILES if not (path.parent / "__init__.py").is_file()
    ] == []
    assert not (ROOT / "framewire").exists()
    assert all((ROOT / part / "py.typed").is_file() for part in PARTS)


def _place(name: str) -> tuple[int, list[tuple[int, int | str]]]:
    """Ruff's order (RUF022): constants, classes, functions, each with numbers counted."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    natural = re.findall(r"\d+|\D+", name)
    return kind, [(0, int(part)) if part.isdigit() else (1, part) for part in natural]


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=short)
def test_a_package_lists_all_that_it_offers_in_order(path: Path) -> None:
    offered: set[str] = set()
    listed: list[str] = []
    for node in syntax_tree(path).body:
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


def test_every_module_says_what_it_is() -> None:
    assert [short(path) for path in FILES if not ast.get_docstring(syntax_tree(path))] == []
