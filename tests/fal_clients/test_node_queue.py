"""fal's JavaScript client in node: the queue through the worker's place for its proxy."""

from pathlib import Path

from support.fal_js import fal_js
from support.servers.worker_server import command


async def test_subscribe_and_the_queues_own_calls_do_what_they_do_on_fal(tmp_path: Path) -> None:
    options = ("--self-signed", "--state-folder", str(tmp_path))
    async with command(*options, slow=True, FRAMEWIRE_TEST_BLOCK="0.2") as worker:
        env = {
            "FAL_PROXY_URL": f"{worker.http.replace('http', 'https')}/api/fal",
            "NODE_EXTRA_CA_CERTS": worker.said["certificate"],
        }
        seen = await fal_js("queue.mjs", env=env)
    for way in ("polled", "streamed"):
        assert seen[way]["seed"] == 7 and seen[way]["last"] == "COMPLETED"
        assert seen[way]["logs"] > 0
    assert {"request_id", "status_url", "response_url", "cancel_url"} <= {*seen["submitted"]}
    assert seen["completed"] == ["COMPLETED", 7, True]
    assert "cancel" in str(seen["cancelled"]["detail"]).lower()
    assert seen["late"]["name"] == "ApiError" and seen["late"]["status"] == 400
    assert seen["refused"]["name"] == "ValidationError" and seen["refused"]["status"] == 422
    assert seen["refused"]["detail"][0]["loc"] == ["body", "width"]
    assert "webhooks" in str(seen["webhook"]["detail"])
    assert seen["unknown"]["name"] == "ApiError" and seen["unknown"]["status"] == 404
