"""Frames that wait to be written: bounded; Ctrl-C loses none of them, a second one says how many."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from support.frames_made import frame

from framewire.client import Frame, Recorder
from framewire.client.savers import FolderSaver, Saved


class Slow:
    """A saver that waits to be let go on before each frame."""

    path = Path("slow")

    def __init__(self) -> None:
        self.saved: Saved | None = None
        self.written = 0
        self.goes_on = threading.Event()
        self.has_begun = threading.Event()

    def open(self) -> None: ...

    def write(self, frame: Frame, prompt: str | None) -> None:
        self.has_begun.set()
        assert self.goes_on.wait(60)
        self.written += 1

    def close(self) -> None:
        self.saved = Saved(self.path, self.written, None, 0)


async def _begun(saver: Slow, recorder: Recorder, frames: int) -> asyncio.Task[None]:
    """Frames are on their way, and the recorder is being closed."""
    for index in range(frames):
        await recorder.write(frame(index))
    await asyncio.to_thread(saver.has_begun.wait, 60)
    closing = asyncio.create_task(recorder.close())
    await asyncio.sleep(0)
    return closing


def _let_go_when_broken_off(saver: Slow, recorder: Recorder) -> None:
    while not recorder._is_broken_off:  # which no event tells
        time.sleep(0.001)
    saver.goes_on.set()


async def test_one_interruption_loses_nothing(tmp_path: Path) -> None:
    """All that had arrived is written before it is heeded."""
    saver = Slow()
    recorder = Recorder([saver, FolderSaver(tmp_path)])
    closing = await _begun(saver, recorder, 20)
    closing.cancel()
    await asyncio.sleep(0)
    saver.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (saver.written, recorder.lost, recorder.waiting) == (20, 0, 0)
    assert [saved.frames for saved in recorder.saved] == [20, 20]


async def test_a_frame_that_waits_for_room_is_not_lost(tmp_path: Path) -> None:
    """It had arrived, and it is the last one."""
    saver = Slow()
    recorder = Recorder([saver], queue_frames=2)
    await recorder.write(frame(0))
    await asyncio.to_thread(saver.has_begun.wait, 60)
    for index in (1, 2):
        await recorder.write(frame(index))
    writing = asyncio.create_task(recorder.write(frame(3)))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    saver.goes_on.set()
    await recorder.close()
    assert saver.written == 4


async def test_a_second_interruption_finishes_the_files_and_counts_what_is_lost(
    tmp_path: Path,
) -> None:
    """The frame in hand is written, the others are not; every file is whole."""
    saver = Slow()
    recorder = Recorder([saver, FolderSaver(tmp_path)])
    closing = await _begun(saver, recorder, 20)
    closing.cancel()
    await asyncio.sleep(0)
    closing.cancel()
    threading.Thread(target=_let_go_when_broken_off, args=(saver, recorder)).start()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert saver.written + recorder.lost == 20
    assert recorder.lost > 0
    assert [saved.frames for saved in recorder.saved] == [saver.written, saver.written]


async def test_a_second_interruption_counts_while_something_else_is_being_closed() -> None:
    """Such as the connection, which is opened inside the recorder and closed first."""
    saver = Slow()
    recorder = Recorder([saver])
    closes = asyncio.Event()

    async def stream() -> None:
        async with recorder:
            for index in range(20):
                await recorder.write(frame(index))
            try:
                await asyncio.Event().wait()
            finally:
                closes.set()
                await asyncio.Event().wait()

    streaming = asyncio.create_task(stream())
    await asyncio.to_thread(saver.has_begun.wait, 60)
    streaming.cancel()
    await closes.wait()
    assert recorder.waiting == 20, "the one that is being written is not written yet"
    streaming.cancel()
    threading.Thread(target=_let_go_when_broken_off, args=(saver, recorder)).start()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(streaming, 60)
    assert recorder.lost > 0 and saver.written + recorder.lost == 20


async def test_frames_that_wait_are_bounded_in_bytes_too() -> None:
    """Forty-eight frames of what a message may be are most of a gigabyte."""
    saver = Slow()
    recorder = Recorder([saver])
    await recorder.write(frame(0))
    await asyncio.to_thread(saver.has_begun.wait, 60)
    large = bytes(10_000_000)
    for index in range(1, 5):  # up to the limit and one over it
        await recorder.write(frame(index, large))
    writing = asyncio.create_task(recorder.write(frame(5, large)))
    await asyncio.sleep(0)
    assert not writing.done()
    assert recorder.waiting == 5
    saver.goes_on.set()
    await writing
    await recorder.close()
    assert saver.written == 6


async def test_a_frame_that_waits_for_room_until_all_is_finished_counts_as_lost() -> None:
    """Nothing is written to files that are finished."""
    saver = Slow()
    recorder = Recorder([saver], queue_frames=1)
    await recorder.write(frame(0))
    await asyncio.to_thread(saver.has_begun.wait, 60)
    await recorder.write(frame(1))
    writing = asyncio.create_task(recorder.write(frame(2)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(recorder.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.sleep(0)
    closing.cancel()
    threading.Thread(target=_let_go_when_broken_off, args=(saver, recorder)).start()
    with pytest.raises(asyncio.CancelledError):
        await closing
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert recorder.waiting == 0
    assert saver.written + recorder.lost == 3
