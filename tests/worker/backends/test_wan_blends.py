"""Blends reach the engine through every preset's backend: the seam drops none of their keys."""

import hashlib

import pytest
import torch

from framewire.protocol.prompts.blends import Blend
from framewire.worker.backends.base import Backend, BackendSession, Change, Settings
from framewire.worker.backends.presets import TINY_PRESETS, servable_presets
from framewire.worker.models.setup import ModelSetup

FOX, SNOW = "a red circle moving right", "a blue square moving left"
HALF = Blend(((FOX, 0.5), (SNOW, 0.5)))


@pytest.fixture(scope="module", params=["tiny", *TINY_PRESETS])
def backend(request: pytest.FixtureRequest) -> Backend:
    torch.set_num_threads(1)
    found = servable_presets()[request.param].make(ModelSetup())
    found.load()
    return found


def opened(backend: Backend, prompt: str, blend: Blend | None = None) -> BackendSession:
    defaults = backend.defaults
    return backend.open(
        Settings(
            prompt=prompt,
            blend=blend,
            width=64,
            height=64,
            seed=7,
            num_denoising_steps=defaults.num_denoising_steps,
            denoising_steps=None,
            strength=0.8,
            timestep_shift=defaults.timestep_shift,
            kv_cache_num_frames=defaults.kv_cache_num_frames,
            keep_first_frame=False,
            start_frame=None,
            live=False,
        )
    )


def digest(session: BackendSession, blocks: int = 1) -> str:
    found = hashlib.sha256()
    for _ in range(blocks):
        found.update(session.next_block([])().frames.tobytes())
    return found.hexdigest()


def test_a_stream_begins_with_its_blend(backend: Backend) -> None:
    blended = [digest(opened(backend, FOX, HALF)) for _ in range(2)]
    assert blended[0] == blended[1]
    assert blended[0] not in {digest(opened(backend, FOX)), digest(opened(backend, SNOW))}


def test_slerp_is_another_blend_than_linear(backend: Backend) -> None:
    three = Blend(((FOX, 0.3), (SNOW, 0.7)))
    arc = Blend(three.parts, "slerp")
    assert digest(opened(backend, SNOW, three)) != digest(opened(backend, SNOW, arc))


@pytest.mark.parametrize(
    "change",
    [
        Change(prompt=FOX, blend=HALF, interp_steps=1),
        Change(prompt=SNOW, interp_steps=3),
        Change(prompt=SNOW, interp_steps=3, transition="slerp"),
    ],
)
def test_every_way_to_another_prompt_shows_in_the_next_block(
    backend: Backend, change: Change
) -> None:
    plain, steered = opened(backend, FOX), opened(backend, FOX)
    assert digest(plain) == digest(steered)
    steered.steer(change)
    assert digest(steered) != digest(plain)
    if change.transition == "slerp":
        straight = opened(backend, FOX)
        digest(straight)
        straight.steer(Change(prompt=SNOW, interp_steps=3))
        again = opened(backend, FOX)
        digest(again)
        again.steer(change)
        assert digest(straight) != digest(again)
