"""What `framewire.client` is to its users: its names, and what importing it does not do."""

import subprocess
import sys
from types import ModuleType

import framewire.client
from framewire.client import savers


def test_all_is_sorted_and_complete() -> None:
    """The public surface changes on purpose only."""
    for package in (framewire.client, savers):
        public = {
            name
            for name, value in vars(package).items()
            if not name.startswith("_") and not isinstance(value, ModuleType)
        }
        # Modules that share a name with what they export count as the export.
        assert set(package.__all__) >= public
        assert all(hasattr(package, name) for name in package.__all__)


def test_all_is_in_ruffs_order() -> None:
    """Classes first, then functions, each by the alphabet."""
    names = framewire.client.__all__
    assert names == sorted(names, key=lambda name: (name.islower(), name))


def test_importing_the_client_loads_nothing_heavy_and_nothing_of_the_worker() -> None:
    """A laptop without torch, numpy, PyAV or a web server can stream."""
    code = """
import sys
import framewire.client, framewire.client.cli
heavy = {"torch", "numpy", "av", "PIL", "fastapi", "uvicorn", "starlette", "framewire.worker"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
