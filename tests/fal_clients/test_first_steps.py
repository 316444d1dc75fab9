"""As a new user: serve, eval what `env` prints, run a short program of the SDK's."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from support.fal_js import FOLDER, PATIENCE, installed
from support.node import node
from support.servers.worker_server import Command, command

KEY = "id:a key that only the worker and this shell know"


async def in_a_shell(program: str, worker: Command, home: Path, **variables: str) -> str:
    """What a program prints in a shell that has evaluated what `env` says of this worker."""
    port = worker.url.split(":")[2].split("/")[0]
    env = f'"{sys.executable}" -m framewire.worker.cli env --port {port}'
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f'set -e; eval "$({env})"; exec {program}'),
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "HOME": str(home),
            **variables,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, errors.decode()
    return out.decode()


@pytest.mark.parametrize("auth", ["none", "jwt"])
async def test_a_python_program_needs_two_lines_in_the_shell(tmp_path: Path, auth: str) -> None:
    variables = {"HOME": str(tmp_path)} | ({"FRAMEWIRE_KEY": KEY} if auth == "jwt" else {})
    async with command("--self-signed", "--auth", auth, **variables) as worker:
        program = f'"{sys.executable}" "{FOLDER / "first_steps.py"}"'
        url, ready, index = (await in_a_shell(program, worker, tmp_path, **variables)).splitlines()
    assert url.startswith("https://127.0.0.1:") and ready == "{'status': 'ready'}" and index == "0"


@pytest.mark.parametrize("auth", ["none", "jwt"])
async def test_a_node_program_needs_two_lines_in_the_shell(tmp_path: Path, auth: str) -> None:
    installed()
    variables = {"HOME": str(tmp_path)} | ({"FRAMEWIRE_KEY": KEY} if auth == "jwt" else {})
    async with command("--self-signed", "--auth", auth, **variables) as worker:
        program = f'"{node()}" "{FOLDER / "first_steps.mjs"}"'
        said = await in_a_shell(program, worker, tmp_path, **variables)
    assert said.startswith("https://127.0.0.1:") and said.endswith(" 200\n")
