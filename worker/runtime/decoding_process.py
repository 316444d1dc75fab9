"""A process that decodes one file from outside, and that can be ended at any time.

What decodes in a thread can be neither interrupted nor bounded; a process can: its memory and its
seconds are limited, it yields the processor to whoever wants it, and it knows none of the worker's
secrets. This is the worker's end of it; `decoding_child` is the other one.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import numpy as np

from framewire.worker.backends.base import Picture

HEAD = struct.Struct(">II")
"""Before each message: bytes of its JSON, and of what lies behind that."""
_PIECE = 1 << 20  # bytes handed over at a time
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")


class DecodingRefused(ValueError):
    """The file cannot be decoded within its bounds; the message is one line for its sender."""


class DecodingProcess:
    """Made by `decoding`; one file, and whatever is asked about it.

    Attributes:
        left_out: pictures that could not be decoded so far.
    """

    def __init__(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._seconds: Final = seconds
        self._left = seconds
        self.left_out = 0

    async def ask(self, data: bytes = b"", **request: Any) -> list[Picture]:
        """The pictures [H, W, 3] that `request` asks for.

        Raises:
            DecodingRefused: the file is refused, or takes too long or too much.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left):
                await self._send(request, data)
                return await self._answer()
        except TimeoutError:
            raise DecodingRefused(f"decoding it takes more than {self._seconds:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            raise DecodingRefused("decoding it takes more than it may, or fails") from None
        finally:
            self._left -= loop.time() - began

    async def _send(self, request: dict[str, Any], data: bytes) -> None:
        about = json.dumps(request).encode()
        self._stdin.write(HEAD.pack(len(about), len(data)) + about)
        for start in range(0, len(data), _PIECE):
            self._stdin.write(memoryview(data)[start : start + _PIECE])
            await self._stdin.drain()
        await self._stdin.drain()

    async def _answer(self) -> list[Picture]:
        about, size = HEAD.unpack(await self._stdout.readexactly(HEAD.size))
        answer = json.loads(await self._stdout.readexactly(about))
        if "refused" in answer:
            raise DecodingRefused(answer["refused"])
        self.left_out = answer["left_out"]
        pictures = []
        for _ in range(answer["count"]):
            pixels = await self._stdout.readexactly(size)
            pictures.append(np.frombuffer(pixels, np.uint8).reshape(answer["shape"]))
        return pictures


@asynccontextmanager
async def decoding(
    module: str, data: bytes, *, seconds: float, **about: Any
) -> AsyncIterator[DecodingProcess]:
    """A process of `module` that has opened `data`; it is gone after the block, in any case.

    Args:
        seconds: how long it may work in all.
        about: what the module wants to know to open it.

    Raises:
        DecodingRefused: the file is refused.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(int(seconds) + 1)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        opened = DecodingProcess(process, seconds)
        await opened.ask(data, **about)
        yield opened
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def _environment() -> dict[str, str]:
    """What it takes to run the same Python with the same packages, and nothing else."""
    found = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return found | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}
