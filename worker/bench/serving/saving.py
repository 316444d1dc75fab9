"""How fast frames are received and saved: `framewire stream` beside a bare websockets loop.

Both read from one server that sends finished JPEGs as fast as they are taken, and write a file a
frame. Knows the client's command line, never its code.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from framewire.protocol import Completed, Connection, Frame, Params, Ready, Role
from framewire.worker.backends.testcard import BLOCK_FRAMES
from framewire.worker.runtime.pictures import encode_jpegs

from .content import frames_of
from .processes import START_TIMEOUT, started

_RUN_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Saving:
    """Frames a second from the first to the last one, each way; medians of some runs in turn."""

    frames: int
    client_fps: float
    bare_fps: float
    of_bare: float


def measure(frames: int, width: int, height: int, times: int) -> Saving:
    """Receive and save `frames` frames (rounded up to blocks) `times` times each way.

    Raises:
        TimeoutError: something hangs.
        RuntimeError: the client failed; with what it said.
    """
    blocks = -(-frames // BLOCK_FRAMES)
    client: list[float] = []
    bare: list[float] = []
    with started(_send, width, height, timeout=START_TIMEOUT) as (_, port):
        url = f"ws://127.0.0.1:{port}/ws"
        for _ in range(times):
            with (
                tempfile.TemporaryDirectory() as folder,
                started(_save, url, blocks, folder, timeout=_RUN_TIMEOUT) as (_, fps),
            ):
                bare.append(fps)
            with tempfile.TemporaryDirectory() as folder:
                client.append(_client_fps(url, blocks, f"{folder}/frames/"))
    ours, theirs = statistics.median(client), statistics.median(bare)
    return Saving(blocks * BLOCK_FRAMES, round(ours), round(theirs), round(ours / theirs, 3))


def _client_fps(url: str, blocks: int, folder: str) -> float:
    command = [sys.executable, "-m", "framewire.client.cli", "stream", "--url", url]
    command += ["--blocks", str(blocks), "--out", folder, "--json", "a red fox"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_RUN_TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"framewire stream failed: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    took = max(report["seconds"] - report["first_frame_seconds"], 0.001)  # told in milliseconds
    return float((report["frames"] - 1) / took)


def _save(pipe: Pipe, url: str, blocks: int, folder: str) -> None:
    """The bare loop, in a process of its own: sends its frames a second up the pipe."""

    async def save() -> float:
        params = Params(prompt="a red fox", num_blocks=blocks)
        protocol = Connection(Role.CLIENT)
        arrived: list[float] = []
        async with connect(url, compression=None, max_size=None, proxy=None) as websocket:
            protocol.receive(await websocket.recv())
            await websocket.send(protocol.send(params))
            async for message in websocket:
                if isinstance(message, str):
                    break
                Path(folder, f"frame_{len(arrived):06d}.jpg").write_bytes(message)  # noqa: ASYNC240
                arrived.append(time.monotonic())
        return (len(arrived) - 1) / (arrived[-1] - arrived[0])

    pipe.send(asyncio.run(save()))


def _send(pipe: Pipe, width: int, height: int) -> None:
    """The server, in a process of its own: sends its port up the pipe."""
    jpegs = encode_jpegs(frames_of("card", width, height))

    async def stream(websocket: ServerConnection) -> None:
        protocol = Connection(Role.WORKER)
        await websocket.send(protocol.send(Ready()))
        params = protocol.receive(await websocket.recv())
        assert isinstance(params, Params)
        protocol.envelope = params.fmt == "msgpack"
        for index in range((params.num_blocks or 1) * BLOCK_FRAMES):
            block, place = divmod(index, BLOCK_FRAMES)
            await websocket.send(
                protocol.send(Frame(jpegs[place], index=index, block=block, prompt_version=1))
            )
        await websocket.send(protocol.send(Completed()))
        await websocket.wait_closed()

    async def listen() -> None:
        async with serve(stream, "127.0.0.1", 0, compression=None) as server:
            pipe.send(next(iter(server.sockets)).getsockname()[1])
            await server.serve_forever()

    asyncio.run(listen())
