"""A `video_url` leads where the operator's rule allows, on every hop, or nowhere."""

import asyncio
import base64
import socket
from typing import Any

import pytest
from support.servers.stand_in import tcp_server

from framewire.worker.allowed_hosts import AllowedHosts
from framewire.worker.clips.fetching import Fetcher, FetchError

HERE = "127.0.0.0/8"


def fetcher(rule: str = HERE, limit: int = 1000) -> Fetcher:
    return Fetcher(AllowedHosts(rule), limit)


def answering(*answers: bytes, heads: list[str] | None = None) -> Any:
    """A server that gives these whole answers in turn, and keeps what it was asked."""
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head.decode())
        writer.write(left.pop(0))
        await writer.drain()

    return tcp_server(handle)


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_the_bytes_of_an_allowed_address_come_back() -> None:
    heads: list[str] = []
    async with answering(ok(b"video"), heads=heads) as port:
        assert await fetcher().fetch(f"http://127.0.0.1:{port}/a.mp4?b=1#c") == b"video"
    assert heads[0].startswith("GET /a.mp4?b=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n" in heads[0]


async def test_data_urls_need_no_rule() -> None:
    nothing = fetcher("")
    body = base64.b64encode(b"x" * 900).decode()
    assert await nothing.fetch(f"data:video/mp4;base64,{body}") == b"x" * 900
    assert await nothing.fetch(f"DATA:;base64,{body}") == b"x" * 900
    with pytest.raises(FetchError, match="more than"):
        await nothing.fetch("data:;base64," + "A" * 2000)


async def test_a_long_data_url_is_decoded_whole_and_only_its_end_may_be_padded() -> None:
    large = Fetcher(AllowedHosts(""), 4_000_000)
    data = bytes(range(256)) * 12_000
    body = base64.b64encode(data).decode()
    assert await large.fetch(f"data:;base64,{body}") == data
    padded = "A" * (2**20 - 4) + "AA==" + "A" * 400
    with pytest.raises(FetchError, match="no base64"):
        await large.fetch(f"data:;base64,{padded}")


async def test_a_redirect_is_judged_like_the_first_url() -> None:
    async with answering(redirect("/b.mp4"), ok(b"moved")) as port:
        assert await fetcher().fetch(f"http://127.0.0.1:{port}/a.mp4") == b"moved"
    for target in ("http://[::1]:1/x", "http://192.168.0.1/x", "file:///etc/passwd", "ftp://x/y"):
        async with answering(redirect(target)) as port:
            with pytest.raises(FetchError, match=r"not a host|only http"):
                await fetcher().fetch(f"http://127.0.0.1:{port}/")


async def test_redirects_in_a_ring_end() -> None:
    async with answering(*[redirect("/again")] * 5) as port:
        with pytest.raises(FetchError, match="redirects"):
            await fetcher().fetch(f"http://127.0.0.1:{port}/")


async def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    """Also where only one of its addresses is private."""
    with pytest.raises(FetchError, match="private address"):
        await fetcher("localhost").fetch("http://localhost:1/x.mp4")


async def test_what_a_name_means_later_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name is resolved once, and the judged address is the one that is used."""
    answers = ["127.0.0.1", "203.0.113.9", "203.0.113.9"]
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    heads: list[str] = []
    async with answering(ok(b"video"), heads=heads) as port:
        loop = asyncio.get_running_loop()
        original = loop.getaddrinfo

        async def resolve(host: Any, *args: Any, **more: Any) -> Any:
            if host == "media.example":
                return await getaddrinfo(host, args[0])
            return await original(host, *args, **more)

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        got = await fetcher(f"media.example,{HERE}").fetch(f"http://media.example:{port}/a")
    assert got == b"video" and asked == ["media.example"]
    assert f"Host: media.example:{port}\r\n" in heads[0]


async def test_more_than_the_limit_is_cut_off() -> None:
    for answer in (
        ok(b"x" * 2000),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,
    ):
        async with answering(answer) as port:
            with pytest.raises(FetchError, match="more than"):
                await fetcher().fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
        (ok(b"zip", "Content-Encoding: gzip"), "compressed"),
        (b"nonsense\r\n\r\n", "cannot be fetched"),
    ],
)
async def test_other_answers_say_what_was_wrong(answer: bytes, why: str) -> None:
    async with answering(answer) as port:
        with pytest.raises(FetchError, match=why):
            await fetcher().fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass@127.0.0.1/x",
        "http:///x",
        "http://127.0.0.1:99999/x",
        "gopher://127.0.0.1/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "//127.0.0.1/x",
        "",
    ],
)
async def test_odd_urls_are_refused(url: str) -> None:
    with pytest.raises(FetchError):
        await fetcher("*").fetch(url)
