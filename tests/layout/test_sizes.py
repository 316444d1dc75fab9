"""Files and folders stay small enough to be read."""

from collections import Counter

import pytest
from support.import_graph import PARTS, ROOT, short

MAX_LINES = 500
MAX_FILES = 16


@pytest.mark.parametrize("folder", [*PARTS, "examples", "tests"])
def test_no_file_is_longer_than_it_should_be(folder: str) -> None:
    files = [
        path
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js", ".mjs", ".css", ".html")
        and path.is_file()
        and "node_modules" not in path.parts
    ]
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lengths.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize("folder", [*PARTS, "examples", "tests"])
def test_no_folder_holds_more_python_files_than_one_looks_through(folder: str) -> None:
    counted = Counter(
        short(path.parent)
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    )
    assert {name: count for name, count in counted.items() if count > MAX_FILES} == {}
