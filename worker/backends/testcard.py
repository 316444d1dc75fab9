"""The test card: a backend that paints instead of dreaming. numpy and Pillow, no weights.

Owns the streams: ramps, the start frame, live input and counting. How a card looks is in
`testcard_scene`. Every param shows in the pixels, so that a test can see that it took effect:

- prompt, seed, size and steps make the scene; frame and block number are written on it;
- a new prompt takes over block by block, k/n of the way in the k-th of n blocks, in a straight
  line whatever the transition's method;
- a blend mixes the scenes of its texts by their weights, under the words of the heaviest;
- the first picture is the start frame, which fades into the scene over twelve frames;
- live input: `frame = strength * card + (1 - strength) * picture`, text included, one picture
  a frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from .base import Blend, Block, Change, Defaults, Picture, Settings
from .testcard_scene import blend, mixed, scene_of_blend

FIRST_BLOCK_FRAMES = 6
BLOCK_FRAMES = 12
_FADE_FRAMES = 12


class TestcardBackend:
    """A `Backend` that needs no GPU and no weights."""

    __test__ = False

    name = "testcard"

    def __init__(self) -> None:
        self.defaults = Defaults(first_block_frames=FIRST_BLOCK_FRAMES, block_frames=BLOCK_FRAMES)

    def load(self) -> None:
        """Nothing to load."""

    def open(self, settings: Settings) -> TestcardSession:
        """Start a stream; any settings will do."""
        return TestcardSession(settings)

    def close(self) -> None:
        """Nothing to free."""


class TestcardSession:
    """One stream of a `TestcardBackend`. Its memory does not grow with its length."""

    __test__ = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target = _parts(settings.prompt, settings.blend)
        self._live = settings.live
        self._strength = settings.strength
        self._from = self._to = self._shown = scene_of_blend(self._target, settings)
        self._ramp = (1, 1)  # blocks done, blocks in all
        self._index = 0
        self._block = 0

    def pictures_wanted(self) -> int:
        """One picture a frame of the next block; 0 unless live."""
        return self._frames_wanted() if self._live else 0

    def steer(self, change: Change) -> None:
        """Take `change` into account from the next block on."""
        if change.prompt is not None:
            target = _parts(change.prompt, change.blend)
            if target != self._target:
                self._target = target
                self._from, self._to = self._shown, scene_of_blend(target, self._settings)
                self._ramp = (0, max(1, change.interp_steps))
        if change.strength is not None:
            self._strength = change.strength
        if change.live is not None:
            self._live = change.live

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        """Fix what the next block shows; painting it is left to the returned call.

        Raises:
            ValueError: not exactly `pictures_wanted()` pictures.
        """
        count, wanted = self._frames_wanted(), self.pictures_wanted()
        if len(pictures) != wanted:
            raise ValueError(f"{len(pictures)} pictures for block {self._block}; wanted {wanted}")
        self._advance_ramp()
        scene, index, block = self._shown, self._index, self._block
        start, strength, inputs = self._settings.start_frame, self._strength, tuple(pictures)
        self._index += count
        self._block += 1

        def finish() -> Block:
            began = time.perf_counter()
            height, width = scene.background.shape[:2]
            frames = np.empty((count, height, width, 3), np.uint8)
            for offset in range(count):
                frame, at = frames[offset], index + offset
                scene.paint(at, frame)
                if start is not None and at < _FADE_FRAMES:
                    blend(frame, start, at / _FADE_FRAMES, frame)
                scene.write(at, block, frame)
                if inputs:
                    blend(frame, inputs[offset], strength, frame)
            return Block(frames, {"paint": (time.perf_counter() - began) * 1000})

        return finish

    def close(self) -> None:
        """Nothing to free."""

    def _frames_wanted(self) -> int:
        return BLOCK_FRAMES if self._block else FIRST_BLOCK_FRAMES

    def _advance_ramp(self) -> None:
        done, total = self._ramp
        if done == total:
            return
        self._ramp = (done + 1, total)
        if done + 1 == total:
            self._from = self._shown = self._to
        else:
            self._shown = mixed(self._from, self._to, (done + 1) / total)


def _parts(prompt: str, blend: Blend | None) -> tuple[tuple[str, float], ...]:
    return ((prompt, 1.0),) if blend is None else blend.parts
