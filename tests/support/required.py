"""What a test cannot do without: where it is absent the test is skipped, in words.

`FRAMEWIRE_REQUIRE=golden,browser,node,ffmpeg,rtsp,xvfb,haproxy,tmux` turns the skips of what it names
into failures.
"""

import os
from typing import NoReturn

import pytest


def absent(name: str, message: str) -> NoReturn:
    """Skip the running test because `name` is not here; fail it where `name` is required."""
    required = os.environ.get("FRAMEWIRE_REQUIRE", "").split(",")
    if name in (each.strip() for each in required):
        pytest.fail(message)
    pytest.skip(message)
