"""A model's backend by itself: warming up, sizes that weren't, memory given back, two phases."""

import logging
import threading
from typing import Any

import numpy as np
import pytest
import torch
from support.viewers.plain_stream import tiny_backend, tiny_random

from framewire.worker.backends.base import Change, InParts, Settings, SettingsError
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import DecoderName, EngineOptions
from framewire.worker.engine.random_weights import TINY_RANDOM
from framewire.worker.models.setup import ModelSetup


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tensors this small lose by more, above all on a busy machine."""
    torch.set_num_threads(1)


def settings(width: int = 64, height: int = 64, **values: object) -> Settings:
    given: dict[str, object] = {
        "prompt": "a",
        "width": width,
        "height": height,
        "seed": 1,
        "num_denoising_steps": 2,
        "denoising_steps": None,
        "strength": 0.5,
        "timestep_shift": 5.0,
        "kv_cache_num_frames": 3,
        "keep_first_frame": False,
        "start_frame": None,
        "live": False,
    }
    return Settings(**(given | values))  # type: ignore[arg-type]


def calls_of(decoder: Any) -> list[int]:
    """Grows by the number of latents of each call."""
    calls: list[int] = []
    plain = decoder.decode

    def decode(z: torch.Tensor, state: Any) -> torch.Tensor:
        calls.append(len(z))
        decoded: torch.Tensor = plain(z, state)
        return decoded

    decoder.decode = decode
    return calls


def compiled() -> Engine:
    engine = tiny_random()
    engine.transformer.compile(backend="eager")
    return engine


@pytest.mark.parametrize(
    ("on_demand", "words"),
    [(False, "served without compilation"), (True, "compiled as it comes, while other streams")],
)
def test_a_size_that_was_not_warmed_up_is_served_as_configured_and_the_log_says_so(
    on_demand: bool, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    setup = ModelSetup(
        options=EngineOptions(compile=True), warm_sizes="64x64,64x96", warm_on_demand=on_demand
    )
    backend = WanBackend(TINY_RANDOM, compiled, setup)
    backend.load()
    shapes = backend.engine.transformer._shapes
    warmed = len(shapes)
    for size in ((64, 64), (64, 96)):
        session = backend.open(settings(*size))
        for _ in range(4):
            session.next_block([])()
        session.close()
    assert len(shapes) == warmed, "warming up ran every shape"
    assert "was not warmed up" not in caplog.text
    session = backend.open(settings(128, 64))
    assert session.next_block([])().frames.shape == (6, 64, 128, 3)
    session.close()
    assert f"128x64 was not warmed up: {words}" in caplog.text
    assert (len(shapes) > warmed) is on_demand


def test_live_blocks_of_a_warmed_size_meet_no_new_shape() -> None:
    """Also where a stream turns live in its middle, and where it follows a start frame."""
    backend = WanBackend(TINY_RANDOM, compiled, ModelSetup(options=EngineOptions(compile=True)))
    backend.load()
    warmed = set(backend.engine.transformer._shapes)
    grey = np.full((64, 64, 3), 90, np.uint8)
    session = backend.open(settings(start_frame=grey))
    session.next_block([])()
    session.steer(Change(live=True))
    for wanted in (9, 12, 12):
        assert session.pictures_wanted() == wanted
        session.next_block([grey] * wanted)()
    assert backend.engine.transformer._shapes == warmed


def test_a_closed_stream_gives_its_room_and_the_larger_scratch_back() -> None:
    backend = tiny_backend()
    backend.load()
    small = backend.open(settings())
    large = backend.open(settings(128, 128))
    large.next_block([])()
    alone = backend.budget.taken
    grown = backend.engine.scratch.cache(1).tokens
    large.close()
    assert backend.budget.taken < alone
    assert backend.engine.scratch.cache(1).tokens < grown
    small.next_block([])()
    small.close()
    assert backend.budget.taken == 0


def test_what_the_engine_refuses_names_the_param() -> None:
    backend = tiny_backend()
    backend.load()
    with pytest.raises(SettingsError) as caught:
        backend.open(settings(kv_cache_num_frames=0))
    assert caught.value.key == "kv_cache_num_frames"
    assert backend.budget.taken == 0


def test_blocks_finished_late_or_by_other_threads_are_the_same_blocks() -> None:
    """A finisher may lag a block behind the lane, and hand over from another thread."""
    backend = tiny_backend()
    backend.load()
    plain = backend.open(settings())
    wanted = [plain.next_block([])().frames for _ in range(5)]
    late = backend.open(settings())
    made: list[np.ndarray] = []
    finishes = [late.next_block([])]
    for _ in range(4):
        finishes.append(late.next_block([]))
        thread = threading.Thread(target=lambda: made.append(finishes.pop(0)().frames))
        thread.start()
        thread.join()
    made.append(finishes.pop()().frames)
    assert all(map(np.array_equal, made, wanted))


@pytest.mark.parametrize("decoder", ["wan", "taehv"])
@pytest.mark.parametrize("live", [False, True])
def test_a_block_leaves_latent_by_latent_with_the_bytes_of_the_whole_one(
    decoder: DecoderName, live: bool
) -> None:
    options = EngineOptions(decoder=decoder)
    backend = WanBackend(TINY_RANDOM, lambda: tiny_random(options=options), ModelSetup())
    backend.load()
    whole, parted = (backend.open(settings(live=live)) for _ in range(2))
    decoded = calls_of(backend.engine.decoder)
    for block in range(4):
        pictures = [np.full((64, 64, 3), 40 * block, np.uint8)] * whole.pictures_wanted()
        wanted = whole.next_block(pictures)().frames
        finish = parted.next_block(pictures)
        assert isinstance(finish, InParts)
        parts, before = [finish.part()], len(decoded)
        while parts[-1].left:
            assert not parts[-1].ms
            parts.append(finish.part())
        assert len(decoded) - before == len(parts) - 1, "later latents were decoded after it"
        assert [len(part.frames) for part in parts] == ([2, 4] if block == 0 else [4, 4, 4])
        assert [part.left for part in parts] == ([4, 0] if block == 0 else [8, 4, 0])
        assert {"denoise", "decode"} <= set(parts[-1].ms)
        assert np.array_equal(np.concatenate([part.frames for part in parts]), wanted)


def test_what_is_left_of_a_block_can_be_had_whole() -> None:
    backend = tiny_backend()
    backend.load()
    first, second = (backend.open(settings()) for _ in range(2))
    wanted = [first.next_block([])().frames for _ in range(2)][1]
    second.next_block([])()
    finish = second.next_block([])
    assert isinstance(finish, InParts)
    assert np.array_equal(finish.part().frames, wanted[:4])
    assert np.array_equal(finish().frames, wanted[4:])


def test_a_block_takes_exactly_the_pictures_that_it_wants() -> None:
    backend = tiny_backend()
    backend.load()
    session = backend.open(settings(live=True))
    with pytest.raises(ValueError, match="expected 9 pictures, got 2"):
        session.next_block([np.zeros((64, 64, 3), np.uint8)] * 2)
