"""fal's JavaScript client in node through `serve --fal`, with a worker in the place of fal."""

from support.fal_js import fal_js
from support.servers.hosted_server import serving_fal
from support.servers.worker_server import serving


async def test_runs_streams_and_the_queue_pass_through_as_they_are() -> None:
    """Events of a run come as they are made, and errors arrive as the client's own."""
    async with serving() as worker, serving_fal(worker.http, queue_path="/queue") as hosted:
        env = {"FAL_PROXY_URL": f"{hosted.http}/api/fal"}
        seen = await fal_js("runs.mjs", env=env)
        queued = await fal_js("queue.mjs", env=env)
    assert seen["seed"] == 7 and seen["clip"] == ["video/mp4", True]
    assert seen["progress"] == [["IN_PROGRESS", 6, 18], ["IN_PROGRESS", 18, 18]]
    for refused in (seen["refused"], seen["refusedStream"]):
        assert refused["name"] == "ValidationError" and refused["status"] == 422
    assert seen["elsewhere"]["name"] == "ApiError" and seen["elsewhere"]["status"] == 404
    for way in ("polled", "streamed"):
        assert queued[way]["seed"] == 7 and queued[way]["last"] == "COMPLETED"
    assert queued["refused"]["name"] == "ValidationError"
