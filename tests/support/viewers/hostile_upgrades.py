"""Upgrades that websockets' parser refuses though h11 took the request, and what answers them."""

import asyncio
from urllib.parse import urlsplit

PATIENCE = 20.0
"""Seconds within which a handshake is answered or closed."""
HEAD = (
    "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
UPGRADES = {
    "a URL of 9,000 bytes": ("GET /ws?" + "a" * 9000, ""),
    "a header line of 9,000 bytes": ("GET /ws", "X-Long: " + "a" * 9000 + "\r\n"),
    "200 headers": ("GET /ws", "".join(f"X-{n}: 1\r\n" for n in range(200))),
    "a body of one byte": ("GET /ws", "Content-Length: 1\r\n"),
    "a chunked body": ("GET /ws", "Transfer-Encoding: chunked\r\n"),
    "no key": ("GET /ws", "Sec-WebSocket-Key: \r\n"),
}


async def answer(url: str, upgrade: tuple[str, str]) -> bytes:
    """All that a worker says to an upgrade before it closes."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        start, headers = upgrade
        writer.write(f"{start} HTTP/1.1\r\n{HEAD}{headers}\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
