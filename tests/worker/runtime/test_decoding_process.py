"""What decodes in a process of its own can be refused, bounded and ended."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.hostile_pictures import jpeg_of_scans, png_of_size
from support.viewers.memory_viewer import picture

from framewire.worker.runtime.decoding_process import DecodingRefused, decoding
from framewire.worker.runtime.pictures import decode_picture

MODULE = "framewire.worker.runtime.picture_process"
SECONDS = 60.0
LARGE = (64, (8_000, 5_000))


def children() -> list[int]:
    """Of this process, but for what other tests of the run may have left to themselves."""
    tasks = Path("/proc/self/task")
    found = [int(pid) for path in tasks.glob("*/children") for pid in path.read_text().split()]
    return [pid for pid in found if MODULE in told(pid, "cmdline")]


def told(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_it_decodes_what_a_thread_would() -> None:
    data = picture(200, (96, 80))
    async with decoding(MODULE, data, seconds=SECONDS) as process:
        (decoded,) = await process.ask(width=64, height=48)
        (again,) = await process.ask(width=32, height=32)
    assert np.array_equal(decoded, decode_picture(data, 64, 48))
    assert np.array_equal(again, decode_picture(data, 32, 32))


@pytest.mark.parametrize("data", [b"", b"nothing", png_of_size(10_000, 10_000), picture()[:60]])
async def test_what_is_refused_is_so_in_the_words_of_who_decodes(data: bytes) -> None:
    with pytest.raises(DecodingRefused, match=r"not a JPEG|at most 40|damaged"):
        async with decoding(MODULE, data, seconds=SECONDS) as process:
            await process.ask(width=64, height=64)


async def test_it_is_gone_after_the_block_whatever_it_was_at() -> None:
    with pytest.raises(KeyError):
        async with decoding(MODULE, jpeg_of_scans(*LARGE), seconds=SECONDS):
            assert len(children()) == 1
            raise KeyError
    assert children() == []


async def test_its_seconds_are_bounded() -> None:
    with pytest.raises(DecodingRefused, match=r"more than 0\.01 s"):
        async with decoding(MODULE, jpeg_of_scans(*LARGE), seconds=0.01) as process:
            await process.ask(width=64, height=64)
    assert children() == []


async def test_where_it_dies_the_file_is_refused() -> None:
    """Too much memory ends it, or a fault in a decoder."""
    async with decoding(MODULE, jpeg_of_scans(*LARGE), seconds=SECONDS) as process:
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DecodingRefused, match="more than it may"):
            await process.ask(width=64, height=64)


async def test_it_knows_none_of_the_worker_s_secrets_and_yields_to_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEWIRE_SECRET", "hidden")
    monkeypatch.setenv("HF_TOKEN", "hidden")
    async with decoding(MODULE, picture(), seconds=SECONDS):
        (pid,) = children()
        assert "hidden" not in told(pid, "environ")
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10


async def test_it_loads_no_torch() -> None:
    """It is started while somebody waits."""
    async with decoding(MODULE, picture(), seconds=SECONDS) as process:
        await process.ask(width=64, height=64)
        (pid,) = children()
        assert "libtorch" not in told(pid, "maps")
