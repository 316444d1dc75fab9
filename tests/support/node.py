"""node, for tests of the page's modules that know no DOM, and what to do where there is none."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support.required import absent

PAGE = Path(__file__).resolve().parents[2] / "worker" / "page"


def node() -> str:
    """The path of node; without one the test is skipped, or fails where it is required."""
    found = shutil.which("node")
    if found is None:
        absent("node", "no node: install it (20 or newer)")
    return found


def run_module(script: str, folder: Path, given: Any = None) -> Any:
    """What a script made with the page's modules, which it imports as `./page/NAME.js`.

    Args:
        script: an ES module; it finds `given` and calls `answer(value)` once, both as JSON.
        folder: an empty one, of the test's own.
    """
    path = node()
    shutil.copytree(PAGE, folder / "page")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "given.json").write_text(json.dumps(given))
    (folder / "script.js").write_text(
        'import { readFileSync, writeFileSync } from "node:fs";\n'
        'const given = JSON.parse(readFileSync("given.json", "utf8"));\n'
        'const answer = (value) => writeFileSync("answer.json", JSON.stringify(value));\n' + script
    )
    done = subprocess.run(
        [path, "script.js"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answer.json").read_text())
