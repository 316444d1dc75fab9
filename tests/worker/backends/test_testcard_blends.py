"""Blends on the test card: colours mixed by weight, so that a test can see them by their pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from framewire.protocol.prompts.blends import Blend
from framewire.worker.backends.base import Change, Settings
from framewire.worker.backends.testcard import TestcardBackend, TestcardSession

CALM = {"num_denoising_steps": 8}
RED, BLUE = "a white square on red and red", "a white square on blue and blue"


def opened(prompt: str, blend: Blend | None = None) -> TestcardSession:
    settings = Settings(
        prompt=prompt,
        blend=blend,
        width=208,
        height=120,
        seed=7,
        num_denoising_steps=8,
        denoising_steps=None,
        strength=0.8,
        timestep_shift=5.0,
        kv_cache_num_frames=3,
        keep_first_frame=False,
        start_frame=None,
        live=False,
    )
    return TestcardBackend().open(settings)


def mix(*parts: tuple[str, float]) -> Blend:
    return Blend(parts)


def frames(session: TestcardSession) -> NDArray[np.uint8]:
    return session.next_block([])().frames


def background(session: TestcardSession) -> NDArray[Any]:
    """The mean colour of the next block beside its text."""
    return frames(session)[:, 12:-12].mean(axis=(0, 1, 2))


def test_a_blend_has_the_colours_of_its_texts_by_their_weights() -> None:
    red, blue = background(opened(RED)), background(opened(BLUE))
    for weight in (0.25, 0.5, 0.75):
        mixed = background(opened(RED, mix((RED, weight), (BLUE, 1 - weight))))
        assert np.abs(mixed - (weight * red + (1 - weight) * blue)).max() < 6


def test_the_words_are_those_of_the_heaviest_text() -> None:
    plain = frames(opened(BLUE))[:, :8]
    assert np.array_equal(frames(opened(BLUE, mix((BLUE, 0.6), (RED, 0.4))))[:, :8], plain)
    assert np.array_equal(frames(opened(BLUE, mix((RED, 0.4), (BLUE, 0.6))))[:, :8], plain)


def test_eight_texts_are_mixed() -> None:
    texts = [RED, BLUE, *(f"a {shape} on green" for shape in ("circle", "square", "triangle"))]
    texts += ["amber", "navy", "teal"]
    eight = frames(opened(RED, Blend(tuple((text, 1 / 8) for text in texts))))
    assert eight.shape == (6, 120, 208, 3)
    assert not np.array_equal(eight, frames(opened(RED)))


def test_a_steered_blend_takes_over_and_a_plain_prompt_ends_it() -> None:
    session = opened(RED)
    frames(session)
    blend = mix((RED, 0.5), (BLUE, 0.5))
    session.steer(Change(prompt=RED, blend=blend, interp_steps=1))
    mixed = background(session)
    session.steer(Change(prompt=RED, blend=blend, interp_steps=1))
    assert np.abs(background(session) - mixed).max() < 6
    session.steer(Change(prompt=RED, interp_steps=1))
    plain = background(session)
    assert plain[0] > mixed[0] + 20 and plain[2] < mixed[2] - 20


def test_other_weights_are_reached_in_so_many_blocks() -> None:
    session = opened(RED, mix((RED, 0.9), (BLUE, 0.1)))
    reds = [background(session)[0]]
    session.steer(Change(prompt=BLUE, blend=mix((RED, 0.1), (BLUE, 0.9)), interp_steps=3))
    reds += [background(session)[0] for _ in range(4)]
    steps = np.diff(reds)
    assert (steps[:3] < -15).all() and abs(steps[3]) < 6
