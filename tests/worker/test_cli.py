"""The real command in a process of its own: starting, signals, draining, and its log."""

import asyncio
import signal
import time

import httpx
import jwt
import pytest
from support.servers.worker_server import PATIENCE, command, launched
from support.viewers.raw_viewer import SMALL, Closed, connected, opened, streamed

SECRET = "a secret of more than thirty-two bytes"
KEY = "the-key-id:the-key-secret"
ENDLESS = {"prompt": "a", "num_blocks": 10**9} | SMALL


def token() -> str:
    now = int(time.time())
    return jwt.encode({"allowed_apps": ["krea-wan-14b"], "iat": now, "exp": now + 60}, SECRET)


async def test_it_says_where_it_listens_serves_and_exits_with_0_on_a_signal() -> None:
    async with command() as worker:
        assert worker.said["backend"] == "testcard" and worker.said["auth"] == "none"
        assert len(await streamed(worker.url, prompt="a", num_blocks=1)) == 6
        worker.signal()
        assert await worker.exit_code() == 0


async def test_with_tokens_it_prints_an_address_whose_token_opens_it_and_logs_none() -> None:
    async with command("--auth", "jwt", "--log-level", "debug", FRAMEWIRE_KEY=KEY) as worker:
        address, _, value = worker.said["page"].partition("#token=")
        assert address == f"{worker.http}/"
        assert len(await streamed(f"{worker.url}?fal_jwt_token={value}", prompt="a", num_blocks=1))
        claims = jwt.decode(value, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 24 * 3600
        worker.signal()
        assert await worker.exit_code() == 0
    assert value not in "".join(worker.log)


async def test_an_address_of_all_interfaces_is_none_for_a_browser() -> None:
    options = ("--host", "0.0.0.0", "--auth", "jwt")
    async with command(*options, FRAMEWIRE_KEY=KEY) as worker:
        assert worker.said["page"].startswith("http://127.0.0.1:")


async def test_a_drain_finishes_the_block_says_so_closes_with_1012_and_exits_in_time() -> None:
    async with command("--grace", "600", slow=True, FRAMEWIRE_TEST_BLOCK="0.5") as worker:
        async with connected(worker.url) as viewer, connected(worker.url) as idle:
            await viewer.say(**ENDLESS)
            await viewer.frame()
            worker.signal()
            received = await viewer.end()
            assert (1 + len(received.frames)) % 12 == 6, "whole blocks only"
            assert [text["error"] for text in received.texts] == ["AT_CAPACITY"]
            assert "shutting down" in received.texts[0]["reason"]
            assert received.last.code == 1012
            assert (await idle.end()).last.code == 1012
        assert await worker.exit_code() == 0, "long before the grace ends"


async def test_while_it_drains_newcomers_are_told_to_come_again() -> None:
    """For as long as a block is under way: here for good."""
    async with (
        command("--grace", "600", slow=True, FRAMEWIRE_TEST_BLOCK="600") as worker,
        connected(worker.url) as viewer,
    ):
        await viewer.say(**ENDLESS)
        await blocked_lane(worker.http)
        async with opened(worker.url) as early:
            await early.next()
            worker.signal()
            assert (await early.end()).last.code == 1012
        async with opened(worker.url) as late:
            received = await late.end()
            assert received.texts[0]["error"] == "AT_CAPACITY" and received.last.code == 1012


async def test_a_block_that_outlasts_the_grace_does_not_keep_the_worker() -> None:
    async with command("--grace", "1.5", slow=True, FRAMEWIRE_TEST_BLOCK="600") as worker:
        async with connected(worker.url) as viewer:
            await viewer.say(**ENDLESS)
            await blocked_lane(worker.http)
            worker.signal()
            last = (await viewer.end()).last
            assert isinstance(last, Closed) and last.code == 1012
        await worker.exit_code()  # long before the block ends


async def blocked_lane(http: str) -> None:
    """Wait until the worker's one stream holds its place: its first block is being made."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        async with asyncio.timeout(PATIENCE):
            while not (await client.get(f"{http}/health")).json()["sessions"]:
                pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_exits_at_once(number: signal.Signals) -> None:
    async with (
        command("--grace", "600", slow=True, FRAMEWIRE_TEST_BLOCK="600") as worker,
        connected(worker.url) as viewer,
    ):
        await viewer.say(**ENDLESS)
        await blocked_lane(worker.http)
        worker.signal(number)
        async with opened(worker.url) as late:
            assert (await late.end()).last.code == 1012, "it drains"
        worker.signal(number)
        await worker.exit_code()  # long before the block or the grace ends


async def test_a_signal_while_the_model_loads_exits_at_once() -> None:
    process = await launched(slow=True, FRAMEWIRE_TEST_LOAD="600")
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while b"loading" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGTERM)
            log = (await process.stderr.read()).decode()
            assert await process.wait() == 0
        assert "before it was ready" in log and "Traceback" not in log
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_command_drops_a_viewer_that_stalls_whatever_event_loop_it_runs_on() -> None:
    async with (
        command("--max-sessions", "1", "--stall-timeout", "1.5") as worker,
        connected(worker.url) as viewer,
        connected(worker.url + "?events=1") as other,
    ):
        await viewer.say(**(ENDLESS | {"width": 832, "height": 480}))
        await viewer.frame()
        viewer.socket.transport.pause_reading()
        await other.say(**(ENDLESS | {"num_blocks": 1}))
        assert len((await other.stream()).frames) == 6
        viewer.socket.transport.abort()


async def test_neither_tokens_nor_keys_are_ever_written_to_the_log() -> None:
    env = {"FRAMEWIRE_SECRET": SECRET, "FRAMEWIRE_KEY": KEY}
    async with command("--auth", "jwt", "--log-level", "debug", **env) as worker:
        value = token()
        for query, headers in (
            (f"?events=1&fal_jwt_token={value}", {}),
            (f"?fal%5Fjwt%5Ftoken={value}", {}),
            ("", {"Authorization": f"Bearer {value}"}),
            ("", {"Authorization": f"Key {KEY}"}),
        ):
            async with connected(worker.url + query, additional_headers=headers) as viewer:
                await viewer.say(prompt="a", num_blocks=1, **SMALL)
                assert len((await viewer.stream()).frames) == 6
        dotless = value.replace(".", "%2E")
        for query, headers in (
            (f"?fal_jwt_token={value}x", {}),
            (f"?fal_jwt_token={dotless}", {}),
            (f"?fal_jwt_%74oken={dotless}", {}),
            (f"?authorization=Key%20{KEY}", {}),
            (f"?q={KEY}", {}),
            ("", {"X-Api-Key": KEY}),
            ("", {"Cookie": f"session={KEY}; token={value}"}),
            ("", {"Proxy-Authorization": f"Key {KEY}"}),
            ("", {"X-Whatever": KEY}),
            ("", {"Sec-WebSocket-Protocol": f"fal, {value}"}),
        ):
            async with opened(worker.url + query, additional_headers=headers) as viewer:
                await viewer.next()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            minted = await client.post(
                f"{worker.http}/tokens/",
                json={"allowed_apps": ["krea-wan-14b"]},
                headers={"Authorization": f"Key {KEY}"},
            )
        worker.signal()
        assert await worker.exit_code() == 0
    log = "".join(worker.log)
    assert "fal_jwt_token=" in log, "the connection is logged"
    assert "?events=1" in log, "what is no secret is shown"
    for secret in (value, value.split(".")[2], KEY, "the-key-secret", SECRET, minted.json()):
        assert secret not in log


async def test_a_port_that_is_taken_is_an_error_in_words_and_not_0() -> None:
    async with command() as worker:
        port = worker.url.split(":")[2].split("/")[0]
        with pytest.raises(
            AssertionError,
            match=f"cannot listen on 127.0.0.1:{port}: Address already in use; choose",
        ):
            async with command("--port", port):
                pass


async def test_settings_come_from_the_environment_and_are_shown_without_secrets() -> None:
    async with command(FRAMEWIRE_MAX_SESSIONS="2", FRAMEWIRE_KEY=KEY) as worker:
        worker.signal()
        await worker.exit_code()
    (line,) = [line for line in worker.log if "settings: " in line]
    assert '"max_sessions": 2' in line and '"key": "set"' in line and KEY not in line
