"""Documents point at what is there: links, paths, and the tree of folders."""

import re
from pathlib import Path

import pytest
from support.import_graph import FILES, PARTS, ROOT, short

FOLDERS = (*PARTS, "examples", "tests")
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))]
    if "node_modules" not in path.parts
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=short)
def test_every_link_and_path_in_a_document_leads_somewhere(path: Path) -> None:
    """A path is told from the root of the repository or from the document's own folder."""
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []
    told = re.findall(
        r"`([\w/]+\.(?:py|md|json)|(?:client|protocol|worker|examples|tests)/[\w/]+)`", text
    )
    assert [name for name in told if not _is_there(name, path.parent)] == []


def _is_there(name: str, folder: Path) -> bool:
    return (ROOT / name).exists() or (folder / name).exists()


def test_the_readme_names_every_package() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text[text.index("## What is where") :]
    packages = {path.parent.name for path in FILES}
    assert [name for name in sorted(packages) if f"{name}/" not in tree] == []
