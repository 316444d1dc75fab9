"""fal's JavaScript client, run by the scripts in `tests/fal_clients/`: in node, and on a page."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from support.node import node
from support.required import absent

FOLDER = Path(__file__).resolve().parents[1] / "fal_clients"
PATIENCE = 90.0
"""Seconds for what takes a few on an idle machine."""


async def fal_js(script: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """The JSON that `tests/fal_clients/SCRIPT` prints; the test is skipped where it cannot run.

    Args:
        env: its whole environment, beside PATH.

    Raises:
        AssertionError: it ended with an error; with what it wrote.
    """
    installed()
    process = await asyncio.create_subprocess_exec(
        node(),
        "--experimental-websocket",  # what node 22 has by itself
        str(FOLDER / script),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **(env or {})},
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode() + out.decode()
    return json.loads(out)


async def fal_js_for_a_page(script: str) -> str:
    """`tests/fal_clients/SCRIPT` and all that it imports, as one script of a page."""
    process = await asyncio.create_subprocess_exec(
        str(installed() / ".bin" / "esbuild"),
        *("--bundle", "--format=iife", "--platform=browser", "--log-level=warning", script),
        cwd=FOLDER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    out, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, errors.decode()
    return out.decode()


def installed() -> Path:
    """Where node's packages are; without them the test is skipped."""
    path = FOLDER / "node_modules"
    if not path.is_dir():
        absent("node", "fal's client is not installed: npm ci --prefix tests/fal_clients")
    return path
