"""A pipe as a live sink: whoever reads it may pause, and holds up nobody."""

import asyncio
import io
import os
from pathlib import Path

import pytest
from PIL import Image
from support.live.numbered import FPS, number_in, picture
from support.live.senders import wait_for

from framewire.client import Frame, Recorder, SaveError
from framewire.client.commands.report import latency_of
from framewire.client.live_output import Sink
from framewire.client.live_output.target import pipe_target
from framewire.client.savers import FolderSaver

COUNT = 3 * FPS


def frame(number: int) -> Frame:
    data = io.BytesIO()
    Image.fromarray(picture(number)).save(data, "JPEG")
    return Frame(number, 0, data.getvalue(), 0.0)


async def test_a_reader_that_pauses_holds_up_neither_stream_nor_files(tmp_path: Path) -> None:
    """What it missed is left out; it goes on with the newest, after a whole picture."""
    reading, writing = os.pipe()
    sink = Sink(pipe_target("/dev/fd/9", writing, "rgb24"), fps=FPS, latency=0.2)
    size = len(picture(0).tobytes())
    async with asyncio.timeout(60):
        async with Recorder([FolderSaver(tmp_path)], live=[sink]) as recorder:
            for number in range(COUNT):
                await recorder.write(frame(number))
            await asyncio.to_thread(wait_for, lambda: len(list(tmp_path.glob("*.jpg"))) == COUNT)
            assert sink.shown <= 2, "a pipe holds less than two pictures"
            reads = asyncio.create_task(asyncio.to_thread(_all_of, reading))
        os.close(writing)
        data = await reads
    numbers = []
    for begin in range(0, len(data), size):
        whole = io.BytesIO()
        Image.frombytes("RGB", (192, 96), data[begin : begin + size]).save(whole, "JPEG")
        numbers.append(number_in(whole.getvalue()))
    assert len(data) % size == 0
    assert numbers == sorted(numbers) and len(set(numbers)) == sink.shown
    assert sink.shown + sink.left_out == COUNT


async def test_a_reader_that_never_reads_is_not_waited_for(tmp_path: Path) -> None:
    """At the end of all else, at once where it is to end at once."""
    reading, writing = os.pipe()
    sink = Sink(pipe_target("/dev/fd/9", writing, "rgb24"), fps=FPS, latency=600.0)
    for number in range(COUNT):
        sink.show(frame(number))
    await asyncio.to_thread(wait_for, lambda: sink.shown == 1)
    async with asyncio.timeout(30):
        await asyncio.to_thread(sink.close, at_once=True)
    assert sink.shown + sink.left_out in (COUNT, COUNT - 1), "but for the one in its hands"
    os.close(reading)
    os.close(writing)


async def test_a_pipe_without_a_reader_counts_no_more() -> None:
    """What is told of how far behind the stream is, is told of those that go on."""
    reading, writing = os.pipe()
    sink = Sink(pipe_target("/dev/fd/9", writing, "jpeg"), fps=FPS, latency=1.0)
    sink.show(frame(0))
    await asyncio.to_thread(wait_for, lambda: sink.shown == 1)
    assert latency_of([sink], None) is not None
    os.close(reading)
    await asyncio.to_thread(wait_for, lambda: sink.failure is not None)
    assert latency_of([sink], None) is None
    assert str(sink.failure) == "/dev/fd/9: its reader has gone"
    os.close(writing)


def test_no_pictures_go_to_a_terminal() -> None:
    """Live or not."""
    first, second = os.openpty()
    try:
        with pytest.raises(SaveError, match="which is a terminal"):
            pipe_target("-", second, "jpeg")
    finally:
        os.close(first)
        os.close(second)


def _all_of(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()
