"""A stand-in for the hub on loopback: what huggingface_hub asks, answered well or badly.

Owns the files and the trouble that a test wants; counts what was asked.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class StandInHub:
    """Files by `owner/name/path`.

    Attributes:
        cut_after: bytes after which an answer is cut, once for each number in the list.
        gated: files that need a token.
        etags: names other than the true SHA-256.
        ranges: the first byte of every download that was asked for, in order.
        tokens: the authorisation of every request.
        storage: the address of another server to which large files (`.safetensors`) redirect.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: list[tuple[str, int]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    storage: str = ""
    url: str = ""

    def etag(self, name: str) -> str:
        return self.etags.get(name) or hashlib.sha256(self.files[name]).hexdigest()


@contextmanager
def hub_serving(hub: StandInHub) -> Iterator[StandInHub]:
    """Serve `hub` on a free port; its `url` is what HF_ENDPOINT would be."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            name = self.path.lstrip("/").split("?")[0].replace("/resolve/main/", "/")
            token = self.headers.get("Authorization")
            hub.tokens.append(token)
            if name not in hub.files:
                return self._refuse(404, "EntryNotFound")
            if name in hub.gated and token is None:
                return self._refuse(401, "GatedRepo")
            data = hub.files[name]
            if hub.storage and name.endswith(".safetensors"):
                return self._redirect(name, data)
            first = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            self.send_response(206 if first else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hub.etag(name)}"')
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data) - first))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if body:
                hub.ranges.append((name, first))
                cuts = hub.cut_after.get(name) or [len(data)]
                end = cuts.pop(0) if hub.cut_after.get(name) else len(data)
                self.wfile.write(data[first : first + end])
                self.close_connection = True
            return None

        def _redirect(self, name: str, data: bytes) -> None:
            self.send_response(302)
            self.send_header("Location", f"{hub.storage}/{name}?X-Amz-Signature=abc")
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Linked-ETag", f'"{hub.etag(name)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
