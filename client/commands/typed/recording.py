"""`/record`: frames into one more file, from when it is asked for until it is, or the stream ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from framewire.client.commands.report import saved_text
from framewire.client.errors import SaveError
from framewire.client.frames import Frame
from framewire.client.live_input.sources.naming import shown
from framewire.client.live_output.target import target_of
from framewire.client.savers import (
    DeviceSaver,
    FolderSaver,
    PipeSaver,
    Recorder,
    Saver,
    refuse_shared_files,
    saver_for,
)
from framewire.client.savers.distinct import Output
from framewire.client.sound import Sounding

from .new_file import claim, refuse_full_folder, release


class Recording:
    """One file at a time.

    Args:
        fps: frames a second of the videos.
        beside: what else is written.
        say: told what became of it.
        sound: the source whose sound goes into the videos.

    Attributes:
        savers: of all that was recorded, for the report.
    """

    def __init__(
        self,
        fps: float,
        beside: Sequence[Output],
        say: Callable[[str], None],
        sound: Sounding | None = None,
    ) -> None:
        self.savers: list[Saver] = []
        self._fps = fps
        self._sound = sound
        self._beside = [(f"{one.path}, which is written already,", one) for one in beside]
        self._say = say
        self._recorder: Recorder | None = None

    def begin(self, name: str) -> None:
        """Record from the next frame on.

        Raises:
            SaveError: nothing writes such a file, it is there already, or one is being recorded.
        """
        if self._recorder is not None:
            raise SaveError(f"{self.savers[-1].path} is being recorded", hint="/record ends that")
        saver = self._saver(name)
        self._recorder = Recorder([saver])
        self.savers.append(saver)
        self._say(f"recording {saver.path}; /record ends it")

    async def end(self) -> None:
        """Finish the file.

        Raises:
            SaveError: nothing is being recorded, or it could not be written.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            raise SaveError("nothing is being recorded", hint="/record x.mp4 begins")
        await recorder.close()
        self._tell(recorder)

    async def write(self, frame: Frame, prompt: str | None) -> None:
        """A frame has come. A file that fails is told of and ends; nothing else does."""
        recorder = self._recorder
        if recorder is None:
            return
        if recorder.failures:
            await self.end()
        else:
            await recorder.write(frame, prompt)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            try:
                with contextlib.suppress(SaveError):  # which is told of below
                    await recorder.__aexit__(kind, error, traceback)
            finally:
                self._tell_failures(recorder)

    def _tell(self, recorder: Recorder) -> None:
        self._tell_failures(recorder)
        for saved in recorder.saved:
            self._say(saved_text(saved))
        if not recorder.failures and not recorder.saved:
            self._say("no frame came meanwhile: nothing was recorded")

    def _tell_failures(self, recorder: Recorder) -> None:
        release(self.savers[-1].path)
        for failure in recorder.failures:
            self._say(f"{failure.reason}; the recording ends there")

    def _saver(self, name: str) -> Saver:
        if _is_live(name):
            raise SaveError(f"{shown(name)}: /record writes files", hint="see --out for sinks")
        place = str(Path(name).expanduser()) + "/" * name.endswith("/")
        saver = saver_for(place, fps=self._fps, sound=self._sound)
        if isinstance(saver, PipeSaver | DeviceSaver):
            raise SaveError(f"{name}: /record writes files", hint="such as /record x.mp4")
        refuse_shared_files([*self._beside, (f"/record {name}", saver)])
        if isinstance(saver, FolderSaver):
            refuse_full_folder(saver.path)
        else:
            claim(saver.path)
        return saver


def _is_live(name: str) -> bool:
    try:
        return target_of(name) is not None
    except SaveError:  # a URL that nothing is sent to
        return True
