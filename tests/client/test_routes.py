"""The way to a server: loopback straight, the rest by the proxy, and no secret in clear."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from support.servers.certificate import localhost_pem
from support.servers.proxies import Proxy, http_proxy, socks_proxy
from support.servers.stand_in import stand_in, streams, tcp_server, token_endpoint
from support.servers.worker_server import serving

from framewire.client import AuthError, ConnectError, PlaintextError, connect
from framewire.client.routes import is_here, proxy_for

KEY = "the-key-of-a-worker"
AWAY: dict[str, Any] = {"host": "0.0.0.0", "auth": "jwt", "key": KEY}
"""A worker that takes any name for its own, as one that other machines can reach."""
NAMES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def frames(url: str, **options: Any) -> int:
    async with connect(url, **options) as session:
        await session.start("a fox", num_blocks=1, width=64, height=64)
        return len([frame async for frame in session])


async def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """The command: its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))} | environment,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


def everywhere(proxy: Proxy, scheme: str = "http") -> dict[str, str]:
    return dict.fromkeys(NAMES, f"{scheme}://127.0.0.1:{proxy.port}")


@pytest.mark.parametrize(
    "command",
    [
        ("stream", "a fox", "--blocks", "1", "--size", "64x64", "--url"),
        ("doctor", "--url"),
        ("token", "--url"),
        ("check", "--rule", "1.1", "--rule", "1.7", "--url"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_no_command_shows_a_proxy_what_goes_to_loopback(
    command: tuple[str, ...], scheme: str
) -> None:
    """Neither the key on its way to a token nor the stream, whatever variables are set."""
    async with serving(auth="jwt", key=KEY) as worker, http_proxy() as proxy:
        code, said = await run(*command, worker.url, FRAMEWIRE_KEY=KEY, **everywhere(proxy, scheme))
    assert code == 0, said
    assert proxy.asked == []


@pytest.mark.parametrize("given", ["key", "token", "secret", "header", "url"])
async def test_no_secret_goes_to_another_machine_in_clear(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to the proxy on the way there; and the error says what to do."""
    url, secret = "ws://gpu.example:8000/ws", KEY * 2
    options = {
        "header": {"headers": {"authorization": f"Bearer {secret}"}},
        "url": {},
    }.get(given, {given: secret})
    if given == "url":
        url += f"?fal_jwt_token={secret}"
    async with http_proxy() as proxy:
        for name, value in everywhere(proxy).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(PlaintextError, match="--allow-plaintext") as caught:
            await frames(url, **options)
    assert proxy.asked == []
    assert secret not in str(caught.value)


async def test_what_is_allowed_to_go_in_clear_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, token and stream, to what is another machine by its name."""
    async with serving(**AWAY) as worker, http_proxy() as proxy:
        monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{proxy.port}")
        url = f"ws://gpu.example:{worker.port}/ws"
        minted_at = f"{worker.http}/tokens/"
        assert await frames(url, key=KEY, token_url=minted_at, allow_plaintext=True) == 6
        code, said = await run(
            *("stream", "a fox", "--blocks", "1", "--size", "64x64", "--url", url, "--key", KEY),
            *("--token-url", minted_at, "--allow-plaintext"),
            ws_proxy=f"127.0.0.1:{proxy.port}",
        )
    assert code == 0, said
    assert proxy.asked == [f"gpu.example:{worker.port}"] * 2
    assert b"Authorization: Bearer" in proxy.seen


@pytest.mark.parametrize("scheme", ["socks5h", "socks"])
async def test_a_socks_proxy_leads_both_the_key_and_the_stream(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variable for HTTP and WebSockets alike, in the spelling of desktops as well."""
    async with serving(**AWAY) as worker, socks_proxy() as proxy:
        monkeypatch.setenv("all_proxy", f"{scheme}://127.0.0.1:{proxy.port}/")
        url = f"ws://gpu.example:{worker.port}/ws"
        assert await frames(url, key=KEY, allow_plaintext=True) == 6
    assert proxy.asked == [f"gpu.example:{worker.port}"] * 2


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("socksio", ("stream", "a fox", "--reconnect")),
        ("socksio", ("doctor",)),
        ("socksio", ("token",)),
        ("python_socks", ("stream", "a fox", "--reconnect")),
        ("python_socks", ("doctor",)),
    ],
)
async def test_a_socks_proxy_without_its_package_is_one_line(
    package: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """It names what to install; the password of the proxy is not in it."""
    (tmp_path / f"{package}.py").write_text("raise ImportError('not installed')")
    async with serving() as worker:
        minted = ["--token-url", f"{worker.http}/tokens/"] if package == "python_socks" else []
        code, said = await run(
            *(*command, "--url", "ws://gpu.example:8000/ws", "--key", KEY, "--allow-plaintext"),
            *minted,
            all_proxy="socks5h://me:hidden@127.0.0.1:9",
            PYTHONPATH=":".join([str(tmp_path), *filter(None, sys.path)]),
        )
    assert code == 1
    assert "pip install 'framewire[socks]'" in said
    assert "Traceback" not in said
    assert "hidden" not in said
    if command[0] != "doctor":
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize("proxy", ["ftp://127.0.0.1:9", "http://127.0.0.1:9/path", "http://["])
async def test_a_proxy_that_is_none_is_one_line(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    for options in ({}, {"key": KEY}):
        with pytest.raises(ConnectError, match="proxy") as caught:
            await frames("ws://gpu.example:8000/ws", allow_plaintext=True, **options)
        assert "\n" not in str(caught.value)


async def test_a_server_that_sends_on_to_another_gets_nothing_taken_there() -> None:
    """A token is for whom it was given; the error says where it was to go."""
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1000))

    async with tcp_server(elsewhere) as port:

        async def sends_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            there = f"Location: ws://127.0.0.1:{port}/ws\r\nContent-Length: 0"
            writer.write(f"HTTP/1.1 307 There\r\n{there}\r\n\r\n".encode())
            await writer.drain()

        async with tcp_server(sends_on) as first:
            with pytest.raises(ConnectError, match=f"sends on to 'ws://127.0.0.1:{port}/ws'"):
                await connect(f"ws://127.0.0.1:{first}/ws", token="abc")
    assert asked == []


@pytest.mark.parametrize("options", [{}, {"key": KEY}])
async def test_tls_to_a_port_without_it_says_that(options: dict[str, str]) -> None:
    """Whether the key or the stream comes there first."""
    async with stand_in(streams) as server:
        with pytest.raises(ConnectError, match="no TLS at that port: "):
            await connect(server.url.replace("ws://", "wss://"), **options)  # type: ignore[arg-type]


async def test_a_certificate_that_is_not_trusted_says_what_to_set(tmp_path: Path) -> None:
    pem = localhost_pem(tmp_path)
    async with serving(ssl_certfile=pem, ssl_keyfile=pem) as worker:
        with pytest.raises(ConnectError, match="SSL_CERT_FILE"):
            await connect(f"wss://localhost:{worker.port}/ws")


@pytest.mark.parametrize("name", ["key", "token"])
async def test_a_key_that_no_header_can_carry_is_one_line(name: str) -> None:
    """Copied with its quotation marks; seen before anything is sent, and not repeated."""
    code, said = await run(
        *("stream", "a fox", "--url", "ws://127.0.0.1:9/ws"),
        **{f"FRAMEWIRE_{name.upper()}": "k-secret-123”"},
    )
    assert code == 1
    assert f"the {name} has '”' in it, which no header can carry" in said
    assert len(said.splitlines()) == 1
    assert "secret" not in said
    with pytest.raises(AuthError, match="no header can carry"):
        connect("ws://127.0.0.1:9/ws", **{name: "é"})  # type: ignore[arg-type]


async def test_a_key_goes_to_no_token_endpoint_in_clear() -> None:
    """Whatever the stream's address is."""
    with pytest.raises(PlaintextError, match=r"tokens\.example"):
        await connect("fal-ai/krea-wan-14b", key=KEY, token_url="http://tokens.example/tokens/")
    async with token_endpoint(lambda n: "a.b.c") as endpoint:
        with pytest.raises(PlaintextError, match="the token would go to gpu"):
            await connect("ws://gpu:1/ws", key=KEY, token_url=endpoint.url)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("ws://127.0.0.1:8000/ws", True),
        ("ws://localhost/ws", True),
        ("ws://[::1]:8000/ws", True),
        ("ws://0.0.0.0:8000/ws", True),
        ("ws://localhost.example/ws", False),
        ("ws://127.0.0.1@evil.example/ws", False),
        ("ws://10.0.0.1/ws", False),
    ],
)
def test_only_this_machine_is_here(url: str, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "proxy:1")
    assert is_here(url) is here
    assert proxy_for(url) == (None if here else "http://proxy:1")


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("wss://fal.run/a/b/ws", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("wss://fal.run/a/b/ws", {"http_proxy": "http://p:1"}, None),
        ("https://rest.fal.ai/", {"all_proxy": "socks://p:1/"}, "socks5h://p:1/"),
        ("ws://gpu:1/ws", {"socks_proxy": "http://p:1"}, "socks5h://p:1"),
        ("http://gpu:1/", {"http_proxy": "a:b@p:1"}, "http://a:b@p:1"),
        ("ws://gpu:1/ws", {"all_proxy": "http://p:1", "no_proxy": "gpu"}, None),
        ("ws://gpu:1/ws", {"all_proxy": "http://p:1", "no_proxy": "*"}, None),
    ],
)
def test_the_environments_proxy_is_found(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
