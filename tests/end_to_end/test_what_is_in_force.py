"""What a replay would ask for is what the worker has in force, whatever was said."""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.engines.scripted_backend import ScriptedBackend
from support.viewers.both_sides import LOSE_THE_CONNECTION, MAKE_A_BLOCK, BothSides, Step
from support.viewers.memory_viewer import picture, running_worker

from framewire.protocol import Params, Steer

PICTURE = picture()
prompts = st.sampled_from(["A", "B", "C"])
maybe = st.none()
starts = st.builds(
    Params,
    prompt=prompts,
    num_blocks=maybe | st.integers(1, 6),
    seed=maybe | st.integers(0, 9),
    strength=maybe | st.sampled_from([0.25, 0.5]),
    noise_controller=maybe | st.booleans(),
    interp_steps=maybe | st.integers(1, 3),
    webcam_mode=maybe | st.booleans(),
    start_frame=st.sampled_from([None, None, PICTURE, PICTURE, b"no picture, which is refused"]),
)
maps: dict[str, st.SearchStrategy[Any]] = {
    "prompt": maybe | prompts,
    "interp_steps": maybe | st.integers(1, 3),
    "num_blocks": maybe | st.integers(1, 9),
    "strength": maybe | st.sampled_from([0.25, 0.5]),
    "noise_controller": maybe | st.booleans(),
    "seed": maybe | st.integers(0, 9),
}
steers = (
    st.builds(Steer, **maps, at_block=maybe | st.integers(0, 6))
    | st.builds(Steer, image=st.just(PICTURE), prompt=prompts)
    | st.builds(Steer, **maps, action=st.just("reset"))
    | st.builds(Steer, action=st.just("end"), at_block=maybe | st.integers(0, 6))
)
said = steers | steers | starts | starts | st.just(LOSE_THE_CONNECTION)
steps = st.lists(st.tuples(said, st.integers(0, 3)), min_size=1, max_size=16)


async def _play(first: Params, script: list[tuple[Step, int]]) -> None:
    """Each step is followed by so many blocks."""
    backend = ScriptedBackend(live=0)
    async with running_worker(backend) as worker:
        both = BothSides(worker, backend)
        try:
            await both.do(first)
            for step, blocks in script:
                await both.do(step)
                for _ in range(blocks):
                    await both.do(MAKE_A_BLOCK)
                    both.compare()
        finally:
            await both.lose()


def _pictured(prompt: str) -> Steer:
    return Steer(image=PICTURE, prompt=prompt)


@settings(max_examples=200, deadline=None)
@given(first=starts, script=steps)
@example(
    first=Params(prompt="A", num_blocks=1),
    script=[(_pictured("C"), 1), (Params(prompt="B", num_blocks=3), 0), (_pictured("C"), 1)],
)
@example(
    first=Params(prompt="A", num_blocks=9),
    script=[
        (Steer(prompt="B", at_block=5), 3),
        (Steer(action="reset", seed=7), 0),
        (Steer(prompt="C", at_block=2), 2),
    ],
)
@example(
    first=Params(prompt="A", num_blocks=9),
    script=[
        (_pictured("B"), 1),
        (Steer(prompt="C"), 1),
        (LOSE_THE_CONNECTION, 1),
        (_pictured("B"), 1),
    ],
)
def test_both_sides_have_the_same_in_force(first: Params, script: list[tuple[Step, int]]) -> None:
    """Params, prompt versions and held maps, over blocks, resets, streams and losses."""
    asyncio.run(_play(first, script))
