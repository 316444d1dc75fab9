"""A Chromium for each file of tests."""

from pathlib import Path

import pytest
from support.browser import browser_of_a_file, in_one_loop

__all__ = ["browser_of_a_file"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_one_loop(items, Path(__file__).parent)
