"""The page's files over HTTP, beside numbered pictures, and what a test page sends back."""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image, ImageDraw
from support.node import PAGE

BITS = 14
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}


@dataclass
class PageFiles:
    """A running server; `sent` are the bodies that pages PUT to it, by path."""

    url: str
    sent: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def page_files() -> Iterator[PageFiles]:
    """`/` is an empty page, `/page/…` the page's files, `/N/WxH.jpg` the picture of a number."""
    running = PageFiles("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            picture = re.fullmatch(r"/(\d+)/(\d+)x(\d+)\.jpg", path)
            file = PAGE / path.removeprefix("/page/")
            if picture:
                self._answer("image/jpeg", numbered(*map(int, picture.groups())))
            elif path.startswith("/page/") and file.is_file():
                self._answer(_TYPES[file.suffix], file.read_bytes())
            else:
                self._answer("text/html", b"<!doctype html><title>test</title>")

        def do_PUT(self) -> None:
            running.sent[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer("text/plain", b"")

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    running.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@cache
def numbered(number: int, width: int, height: int) -> bytes:
    """A JPEG that shows `number` in two rows of squares, a bit each, white on dark red."""
    image = Image.new("RGB", (width, height), (120, 20, 20))
    draw = ImageDraw.Draw(image)
    for bit in range(BITS):
        if number >> bit & 1:
            draw.rectangle(_square(bit, width, height), fill=(255, 255, 255))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return data.getvalue()


def number_in(image: Image.Image) -> int:
    """The number that a picture shows, whatever became of its size and quality."""
    grey = image.convert("L").load()
    assert grey is not None
    number = 0
    for bit in range(BITS):
        x0, y0, x1, y1 = _square(bit, *image.size)
        value = grey[(x0 + x1) // 2, (y0 + y1) // 2]
        assert isinstance(value, int)
        number |= (value > 150) << bit
    return number


def _square(bit: int, width: int, height: int) -> tuple[int, int, int, int]:
    column, row = bit % (BITS // 2), bit // (BITS // 2)
    across, down = width / (BITS // 2), height / 2
    x0, y0 = int(column * across), int(row * down)
    return x0, y0, int(x0 + across) - 1, int(y0 + down) - 1
