"""fal's JavaScript client in node: realtime, with tokens by the worker's place for its proxy."""

from collections.abc import Iterator

import pytest
from support.fal_js import fal_js

from framewire.worker.testing.running import RunningWorker, running_worker

JPEG = [0xFF, 0xD8]


@pytest.fixture(scope="module")
def worker() -> Iterator[RunningWorker]:
    with running_worker(tls=True) as running:
        yield running


async def test_realtime_streams_at_its_own_path_and_at_ws_and_tells_errors_as_its_own(
    worker: RunningWorker,
) -> None:
    """With one line for its host, which cannot be set."""
    seen = await fal_js("realtime.mjs", env=dict(worker.env))
    assert seen["default"]["images"] == [[index, *JPEG] for index in range(6)]
    assert seen["ws"]["images"] == [[0, *JPEG]] * 6
    for path in ("default", "ws"):
        assert [text["status"] for text in seen[path]["texts"]] == ["ready", "completed"]
    error = seen["refused"]
    assert error["name"] == "ApiError" and error["status"] == 400
    assert "prompt" in error["message"]
