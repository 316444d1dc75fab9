"""fal's JavaScript client in node: runs and streams through the worker's place for its proxy."""

from support.fal_js import fal_js

from framewire.worker.testing.running import running_worker


async def test_runs_and_streams_end_in_a_clip_and_errors_arrive_as_its_own() -> None:
    with running_worker(tls=True) as worker:
        seen = await fal_js("runs.mjs", env=dict(worker.env))
    assert seen["seed"] == 7 and seen["clip"] == ["video/mp4", True]
    assert len(seen["requestId"]) > 8
    assert seen["progress"] == [["IN_PROGRESS", 6, 18], ["IN_PROGRESS", 18, 18]]
    assert seen["streamed"] == [7, 200]
    for refused in (seen["refused"], seen["refusedStream"]):
        assert refused["name"] == "ValidationError" and refused["status"] == 422
        assert refused["detail"][0]["loc"] == ["body", "width"]
    assert seen["elsewhere"]["name"] == "ApiError" and seen["elsewhere"]["status"] == 404
