"""A camera, restyled, in a browser: HLS in the folder live/, with a page that shows it.
python examples/live/camera_to_browser.py [SOURCE] [URL]   testsrc, and a worker of its own"""

import asyncio
import contextlib
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from framewire.client import Recorder, connect, endpoint
from framewire.client.live_input import open_source
from framewire.client.live_output import sink_for


class Uncached(SimpleHTTPRequestHandler):
    """Else a browser asks for what is newer than it has, in whole seconds, and misses the end."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def serve(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    page = '<video src=index.m3u8 controls autoplay muted onerror="setTimeout(() => load(), 999)">'
    (folder / "index.html").write_text(page)  # it looks again until there is something to show
    handler = partial(Uncached, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of who has left the page
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/ in some seconds; Ctrl-C ends it", flush=True)


async def main(name: str = "testsrc", url: str | None = None) -> None:
    source = await open_source(name, fps=16)
    serve(Path("live"))
    hls = sink_for("live/index.m3u8", fps=16)
    async with endpoint(url) as where, connect(where) as session, Recorder([], live=[hls]) as out:
        await session.start("an oil painting", webcam_mode=True, num_blocks=100_000, fps=16)
        async with session.feed(source) as feeding:
            async for frame in feeding:
                await out.write(frame)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main(*sys.argv[1:]))
