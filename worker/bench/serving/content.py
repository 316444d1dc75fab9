"""What the serving bench streams: twelve frames, and the float tensor that a decoder made them of.

Two kinds, because a JPEG's cost follows its content: `card` is smooth with hard edges, `natural`
has the spectrum of a photograph and some grain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from framewire.worker.backends.base import Frames, Settings
from framewire.worker.backends.testcard import BLOCK_FRAMES, TestcardSession

from .plan import CONTENTS

_PROMPT = "a red fox runs through the snow"
_CONTRAST = 48.0
_FALL = 1.5
"""How fast amplitude falls with frequency; 0.8 to 1.5 in photographs, a decoder's are soft."""
_GRAIN = 1.5


def frames_of(content: str, width: int, height: int) -> Frames:
    """Twelve frames of `content`, uint8 [12, height, width, 3].

    Raises:
        ValueError: there is no such content.
    """
    if content == "card":
        return _card(width, height)
    if content == "natural":
        return _natural(width, height)
    raise ValueError(f"no content {content!r}: choose one of {', '.join(CONTENTS)}")


def planes_of(frames: Frames) -> NDArray[np.float32]:
    """`frames` as a decoder leaves them: float32 [T, 3, H, W] in [-1, 1]."""
    # Half a level up, so that cutting fractions off gives back the level.
    values = np.minimum((frames.astype(np.float32) + 0.5) / 127.5 - 1, 1)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _card(width: int, height: int) -> Frames:
    settings = Settings(
        prompt=_PROMPT,
        width=width,
        height=height,
        seed=1,
        num_denoising_steps=4,
        denoising_steps=None,
        strength=0.8,
        timestep_shift=5.0,
        kv_cache_num_frames=3,
        keep_first_frame=False,
        start_frame=None,
        live=False,
    )
    session = TestcardSession(settings)
    session.next_block(())()
    return session.next_block(())().frames


def _natural(width: int, height: int) -> Frames:
    """Amplitude falls with frequency as in natural scenes (Field 1987); a little colour."""
    random = np.random.default_rng(1)
    light, red, blue = (_falling(width, height, random) for _ in range(3))
    still = 128 + _CONTRAST * np.stack(
        [light + 0.3 * red, light - 0.1 * red - 0.1 * blue, light + 0.3 * blue], axis=-1
    )
    frames = np.empty((BLOCK_FRAMES, height, width, 3), np.uint8)
    for index in range(BLOCK_FRAMES):
        grain = random.normal(0, _GRAIN, (height, width, 1))
        frames[index] = np.clip(np.roll(still, 2 * index, axis=1) + grain, 0, 255)
    return frames


def _falling(width: int, height: int, random: np.random.Generator) -> NDArray[np.float64]:
    """[height, width] of mean 0 and standard deviation 1."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(height, width))) / frequency**_FALL
    picture = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray(picture / picture.std())
