"""Where a worker can be reached: the addresses it listens on, and paths that lead nowhere."""

import socket
from urllib.parse import urlsplit

import pytest
from support.servers.worker_server import command, serving
from support.viewers.raw_viewer import Closed, opened

from framewire.client import ConnectError, connect

PATHS = ("/ws", "/{owner}/{alias}/ws", "/session/{session_id}")


@pytest.mark.parametrize("path", ["/", "/wss", "/a/b/c/d", "/ws/", "/%0a%1b[2J", "/" + "x" * 500])
@pytest.mark.parametrize("auth", [{}, {"auth": "jwt", "key": "k"}])
async def test_an_unknown_path_is_told_which_paths_there_are(
    path: str, auth: dict[str, str]
) -> None:
    """In words and with a close, not as an HTTP 403 that reads like a missing token."""
    async with serving(**auth) as worker:
        async with opened(worker.url.removesuffix("/ws") + path) as viewer:
            said, closed = await viewer.next(), await viewer.next()
        assert worker.inside.connections == set()
    assert (said["type"], said["error"]) == ("x-fal-error", "BAD_MESSAGE")
    assert all(known in said["reason"] for known in PATHS)
    assert said["reason"].isprintable()
    assert isinstance(closed, Closed) and closed.code == 1008


async def test_a_client_on_an_unknown_path_hears_of_the_paths_not_of_tokens() -> None:
    async with serving() as worker:
        with pytest.raises(ConnectError, match="there are /ws, ") as caught:
            await connect(f"{worker.url}/further")
    assert caught.value.code == "CONNECT"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_two_colons_are_every_address_of_both_families() -> None:
    async with command("--host", "::", "--auth", "jwt", "--key", "k") as worker:
        port = urlsplit(worker.url).port
        for host in ("127.0.0.1", "[::1]"):
            async with connect(f"ws://{host}:{port}/ws", key="k") as session:
                await session.start("a fox", num_blocks=1, width=64, height=64)
                assert len([frame async for frame in session]) == 6
