"""The commands without their scripts: `python -m`, for those who have no PATH to them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "name", "command"),
    [
        ("framewire.client", "framewire", "stream"),
        ("framewire.worker", "framewire-worker", "serve"),
    ],
)
def test_each_package_is_its_command(module: str, name: str, command: str) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", module, *options]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    told = run("--help")
    assert told.returncode == 0
    assert told.stdout.startswith(f"usage: {name} ") and command in told.stdout
    assert run(command, "--no-such-option").returncode == 2
