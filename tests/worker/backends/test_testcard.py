"""The test card: every param shows in the pixels, and in nothing else."""

import itertools
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framewire.worker.backends.base import Backend, BackendSession, Change, Picture, Settings
from framewire.worker.backends.testcard import TestcardBackend, TestcardSession
from framewire.worker.backends.testcard_look import look_of
from framewire.worker.backends.testcard_scene import blend

WIDTH, HEIGHT = 208, 120
STRIP = 12
"""Rows at the top and at the bottom that may hold text."""


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "prompt": "a lighthouse",
        "width": WIDTH,
        "height": HEIGHT,
        "seed": 7,
        "num_denoising_steps": 4,
        "denoising_steps": None,
        "strength": 0.8,
        "timestep_shift": 5.0,
        "kv_cache_num_frames": 3,
        "keep_first_frame": False,
        "start_frame": None,
        "live": False,
    }
    return Settings(**(values | changes))


def opened(**changes: Any) -> TestcardSession:
    return TestcardBackend().open(settings(**changes))


def blocks(session: BackendSession, count: int = 1) -> NDArray[np.uint8]:
    """The frames of the next `count` blocks of a session that wants no pictures."""
    return np.concatenate([session.next_block([])().frames for _ in range(count)])


def first_block(**changes: Any) -> NDArray[np.uint8]:
    return blocks(opened(**changes))


def picture(colour: tuple[int, int, int]) -> Picture:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def inside(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What is not covered by text."""
    return frames[..., STRIP:-STRIP, :, :].astype(np.float64)


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(inside(one) - inside(other)).mean())


def test_it_is_a_backend() -> None:
    backend: Backend = TestcardBackend()
    backend.load()
    session: BackendSession = backend.open(settings())
    session.close()
    backend.close()
    assert backend.name == "testcard"


def test_blocks_are_shaped_like_kreas() -> None:
    session = opened()
    shapes = [session.next_block([])().frames.shape for _ in range(3)]
    assert shapes == [(count, HEIGHT, WIDTH, 3) for count in (6, 12, 12)]


def test_the_same_settings_give_the_same_bytes() -> None:
    assert np.array_equal(blocks(opened(), 3), blocks(opened(), 3))


def test_the_same_settings_give_the_same_bytes_in_another_process() -> None:
    """A hash that differs from run to run (Python's own of text, say) would fail here."""
    code = (
        "import hashlib, sys; sys.path.insert(0, 'tests/worker/backends');"
        "import test_testcard as t; print(hashlib.sha256(t.first_block().tobytes()).hexdigest())"
    )
    root = __file__.rpartition("/tests/")[0]
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


def test_two_sessions_that_take_turns_see_nothing_of_each_other() -> None:
    one, other = opened(), opened(prompt="a harbour", seed=8)
    turns = [(blocks(one), blocks(other)) for _ in range(3)]
    alone = opened()
    for frames, _ in turns:
        assert np.array_equal(frames, blocks(alone))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a harbour"},
        {"prompt": "a lighthouse " + "far away " * 50 + "indeed"},
        {"seed": 8},
        {"num_denoising_steps": 5},
        {"denoising_steps": (1000.0, 500.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_param_shows_outside_the_text(change: dict[str, Any]) -> None:
    assert differ(first_block(), first_block(**change)) > 2


def test_prompts_that_differ_after_the_caption_ends_differ_in_the_picture() -> None:
    start = "a red lighthouse " * 60
    assert differ(first_block(prompt=start + "one"), first_block(prompt=start + "two")) > 2


def test_every_frame_differs_from_the_one_before() -> None:
    frames = blocks(opened(), 3)
    assert all(differ(one, other) > 0.5 for one, other in itertools.pairwise(frames))


def test_params_that_the_card_has_no_use_for_change_nothing() -> None:
    same = first_block(strength=0.2, timestep_shift=1.0, kv_cache_num_frames=6)
    assert np.array_equal(first_block(), same)


def test_prompt_frame_and_block_number_are_written_on_the_frame() -> None:
    first, second = first_block()[:2]
    top, bottom = slice(0, 8), slice(-8, None)
    assert first[top].max() > 200 and first[bottom].max() > 200
    assert np.array_equal(first[top], second[top])
    assert not np.array_equal(first[bottom], second[bottom])
    other_prompt = first_block(prompt="a harbour")[0]
    assert not np.array_equal(first[top], other_prompt[top])
    assert np.array_equal(first[bottom], other_prompt[bottom])


@pytest.mark.parametrize(
    ("word", "channel"), [("red", 0), ("green", 1), ("blue", 2), ("night", 2), ("fire", 0)]
)
def test_a_named_colour_dominates_the_picture(word: str, channel: int) -> None:
    means = inside(first_block(prompt=f"a {word} thing")).mean((0, 1, 2))
    assert means.argmax() == channel


def test_a_colour_before_a_shape_is_the_shapes_and_the_rest_the_backgrounds() -> None:
    look = look_of("A big RED square, moving left, on green and blue")
    assert look.shape == "square" and look.direction == (-1, 0)
    assert (look.accent[0], look.top[1], look.bottom[2]) == (214, 160, 220)


def test_a_prompt_without_known_words_gets_a_look_of_its_own() -> None:
    looks = {look_of(f"prompt {number}").top for number in range(20)}
    assert len(looks) > 10


@pytest.mark.parametrize(
    ("word", "axis", "sign"), [("left", 1, -1), ("right", 1, 1), ("up", 0, -1), ("down", 0, 1)]
)
def test_the_shape_moves_where_the_prompt_says(word: str, axis: int, sign: int) -> None:
    frames = inside(blocks(opened(prompt=f"a white circle moving {word} on black"), 12))
    places = []
    for frame in frames:
        where = np.argwhere(frame.min(-1) > 200)
        whole = where.size and np.ptp(where[:, 0]) == np.ptp(where[:, 1])
        places.append(where.mean(0)[axis] if whole else None)
    steps = [b - a for a, b in itertools.pairwise(places) if a is not None and b is not None]
    assert len(steps) > 10
    assert np.median(np.sign(steps)) == sign


def test_a_new_prompt_takes_over_by_a_kth_of_n_blocks() -> None:
    session = opened(prompt="all black", height=480, width=832)
    before = inside(blocks(session)).mean()
    session.steer(Change(prompt="all white", interp_steps=4))
    levels = [inside(blocks(session)).mean() for _ in range(6)]
    whole = levels[-1] - before
    progress = [(level - before) / whole for level in levels]
    assert progress == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], abs=0.05)


def test_a_ramp_of_one_block_is_an_immediate_change() -> None:
    steered, other = opened(), opened(prompt="a harbour")
    blocks(steered), blocks(other)
    steered.steer(Change(prompt="a harbour", interp_steps=1))
    assert np.array_equal(blocks(steered), blocks(other))


def test_after_a_ramp_the_old_prompt_is_gone() -> None:
    steered, other = opened(), opened(prompt="a harbour")
    steered.steer(Change(prompt="a harbour", interp_steps=3))
    blocks(steered, 2), blocks(other, 2)
    assert np.array_equal(blocks(steered), blocks(other))


def test_the_prompt_that_is_the_target_already_is_no_change() -> None:
    steered, other = opened(), opened()
    for session in (steered, other):
        session.steer(Change(prompt="a harbour", interp_steps=4))
        blocks(session)
    steered.steer(Change(prompt="a harbour", interp_steps=4))
    assert np.array_equal(blocks(steered, 4), blocks(other, 4))


def test_a_change_in_the_middle_of_a_ramp_starts_from_what_is_shown() -> None:
    session = opened(prompt="all black")
    session.steer(Change(prompt="all white", interp_steps=2))
    half = inside(blocks(session)).mean()
    session.steer(Change(prompt="entirely black", interp_steps=64))
    assert inside(blocks(session)).mean() == pytest.approx(half, abs=6)


def test_the_first_picture_is_the_start_frame_which_then_fades() -> None:
    start = picture((255, 0, 255))
    frames = blocks(opened(start_frame=start, prompt="all black"), 3)
    distance = np.abs(inside(frames) - (255, 0, 255)).mean((1, 2, 3))
    assert distance[0] == 0
    assert all(b - a > 0 for a, b in itertools.pairwise(distance[:12]))
    assert np.array_equal(frames[12:], blocks(opened(prompt="all black"), 3)[12:])


def test_live_wants_one_picture_a_frame_and_nothing_otherwise() -> None:
    session = opened(live=True)
    assert session.pictures_wanted() == 6
    session.next_block([picture((0, 0, 0))] * 6)()
    assert session.pictures_wanted() == 12
    session.steer(Change(live=False))
    assert session.pictures_wanted() == 0
    session.steer(Change(live=True))
    assert session.pictures_wanted() == 12


def test_a_wrong_number_of_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures for block 0; wanted 6"):
        opened(live=True).next_block([picture((0, 0, 0))] * 2)


def test_each_picture_shows_in_its_own_frame() -> None:
    session = opened(live=True, strength=0.01)
    frames = session.next_block([picture((40 * at, 0, 0)) for at in range(6)])().frames
    assert frames[..., 0].mean((1, 2)) == pytest.approx([40 * at for at in range(6)], abs=3)


@pytest.mark.parametrize("strength", [0.01, 0.25, 0.8, 1.0])
def test_live_input_is_blended_by_strength(strength: float) -> None:
    card = first_block().astype(np.float64)
    light = picture((200, 100, 50))
    frames = opened(live=True, strength=strength).next_block([light] * 6)().frames
    expected = strength * card + (1 - strength) * light
    assert np.abs(frames - expected).max() < 2
    if strength == 1:
        assert np.array_equal(frames, card)


def test_a_new_strength_counts_from_the_next_block_on() -> None:
    session = opened(live=True, strength=1.0)
    unfinished = session.next_block([picture((9, 9, 9))] * 6)
    session.steer(Change(strength=0.01))
    assert np.array_equal(unfinished().frames, first_block())
    assert session.next_block([picture((9, 9, 9))] * 12)().frames.mean() < 13


def test_blending_is_exact_at_both_ends_and_may_write_over_its_input() -> None:
    random = np.random.default_rng(1)
    one, other = random.integers(0, 256, (2, 100, 8, 3), np.uint8)
    out = np.empty_like(one)
    for weight, expected in ((0.0, other), (1.0, one)):
        blend(one, other, weight, out)
        assert np.array_equal(out, expected)
    blend(one, other, 0.5, out)
    assert np.abs(out - (one.astype(int) + other) / 2).max() <= 0.5
    blend(one, other, 0.5, one)
    assert np.array_equal(one, out)


def test_a_block_says_how_long_its_painting_took() -> None:
    assert opened().next_block([])().ms["paint"] > 0


@pytest.mark.parametrize("size", [(64, 64), (2048, 64), (64, 2048), (72, 1000)])
@pytest.mark.parametrize("prompt", ["w" * 8192, "\0", "\n \u3042 \u05d0 \U0001f600", "\ud800"])
def test_any_size_and_any_text_is_painted(size: tuple[int, int], prompt: str) -> None:
    session = opened(width=size[0], height=size[1], prompt=prompt)
    session.steer(Change(prompt="a square moving up", interp_steps=2))
    assert blocks(session, 2).shape == (18, size[1], size[0], 3)


def test_numbers_of_any_length_are_written_without_an_end() -> None:
    session = opened()
    session._index, session._block = 10**30, 10**29
    far = blocks(session)
    assert far.shape == (12, HEIGHT, WIDTH, 3)
    assert differ(far[0], far[1]) > 0.5


def test_memory_does_not_grow_with_the_stream() -> None:
    session = opened(width=64, height=64)

    def run(count: int) -> int:
        for number in range(count):
            session.steer(Change(prompt=f"prompt {number}", interp_steps=3))
            blocks(session)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = run(30)
        assert run(60) - early < 64 * 1024
    finally:
        tracemalloc.stop()
