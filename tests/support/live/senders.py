"""Those who send: Debian's FFmpeg, its GStreamer RTSP server, a web server of files."""

import asyncio
import contextlib
import functools
import http.server
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from support.required import absent
from support.servers.ports import free_port

PATIENCE = 60.0
SYSTEM_PYTHON = "/usr/bin/python3"
"""Which GObject's bindings are installed for."""
_RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch(
    f"( filesrc location={sys.argv[1]} ! qtdemux name=d d.video_0 ! queue ! h264parse "
    "! rtph264pay name=pay0 pt=96 d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
)
server.get_mount_points().add_factory("/numbered", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextlib.contextmanager
def ffmpeg(*arguments: str, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """FFmpeg with these arguments, ended at the end."""
    if shutil.which("ffmpeg") is None:
        absent("ffmpeg", "there is no ffmpeg: apt-get install ffmpeg")
    command = ["ffmpeg", "-hide_banner", "-loglevel", "quiet", "-nostdin", *arguments]
    with _ended(subprocess.Popen(command, stdout=stdout)) as process:
        yield process


@contextlib.contextmanager
def rtsp_server(clip: Path) -> Iterator[int]:
    """A GStreamer RTSP server of a clip at `/numbered`; its port."""
    script = [SYSTEM_PYTHON, "-c", _RTSP, str(clip)]
    with _ended(
        subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            absent("rtsp", f"no RTSP server: {process.stderr.read().decode()[-300:]}")
        yield int(line)


@contextlib.contextmanager
def web_server(folder: Path, pem: str | None = None) -> Iterator[int]:
    """A web server of a folder's files, without ranges, as simple ones are; its port.

    Args:
        pem: a certificate with its key, for TLS.
    """

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            # Else a list that has changed within a second counts as the one that a browser has.
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.asynccontextmanager
async def tls_in_front(port: int, pem: str) -> AsyncIterator[int]:
    """A server whose TLS is taken away for one that listens on a port of this machine; its own port.

    Args:
        pem: a certificate with its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, forth), _copy(back, writer))

    async with await asyncio.start_server(take, "127.0.0.1", 0, ssl=context) as server:
        yield int(server.sockets[0].getsockname()[1])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def x_server(size: str) -> Iterator[str]:
    """A virtual screen; its display."""
    if shutil.which("Xvfb") is None:
        absent("xvfb", "there is no Xvfb: apt-get install xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    with _ended(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ) as process:
        assert process.stdout is not None
        yield f":{int(process.stdout.readline())}"


@contextlib.contextmanager
def sent_by(kind: str, clip: Path, folder: Path) -> Iterator[str]:
    """A clip in real time; what `--input` takes for it.

    Args:
        kind: rtsp, rtmp, udp, mjpeg or hls.
        folder: for the files of the last.
    """
    to: tuple[str, ...]
    paced = ("-re", "-i", str(clip))
    port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    place = f"127.0.0.1:{port}"
    with contextlib.ExitStack() as running:
        if kind == "rtsp":
            port = running.enter_context(rtsp_server(clip))
            yield f"rtsp://127.0.0.1:{port}/numbered"
        elif kind == "rtmp":
            to = ("-c", "copy", "-f", "flv", "-listen", "1", f"rtmp://{place}/live/x")
            running.enter_context(ffmpeg(*paced, *to))
            wait_for_listener(port)
            yield f"rtmp://{place}/live/x"
        elif kind == "udp":
            running.enter_context(
                ffmpeg(*paced, "-c", "copy", "-f", "mpegts", f"udp://{place}?pkt_size=1316")
            )
            yield f"udp://{place}"
        elif kind == "mjpeg":
            to = ("-an", "-q:v", "2", "-f", "mpjpeg", "-listen", "1", f"http://{place}/")
            running.enter_context(ffmpeg(*paced, *to))
            wait_for_listener(port)
            yield f"http://{place}/"
        else:
            list_at = folder / "live.m3u8"
            to = ("-c", "copy", "-f", "hls", "-hls_time", "0.4", "-hls_list_size", "4")
            running.enter_context(ffmpeg(*paced, *to, str(list_at)))
            wait_for(list_at.exists)
            port = running.enter_context(web_server(folder))
            yield f"http://127.0.0.1:{port}/live.m3u8"


def wait_for_listener(port: int) -> None:
    """Until somebody listens there; looks only, for some senders take one connection."""
    listening = re.compile(rf": 0100007F:{port:04X} [0-9A-F]+:0000 0A ")
    wait_for(lambda: listening.search(Path("/proc/net/tcp").read_text()))


def wait_for(condition: Callable[[], object]) -> None:
    """Until it holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
