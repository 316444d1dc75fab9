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
maybe = st.none()
texts = st.sampled_from(["A", "B", "C"])
weights = st.sampled_from([0, 0.25, 1, 3])
strengths = st.dictionaries(st.sampled_from(["ink", "wax"]), st.sampled_from([0.0, 0.5, 2.0]))
transitions = st.sampled_from([{"method": "linear"}, {"method": "slerp"}])


@st.composite
def shown(draw: st.DrawFn) -> dict[str, Any]:
    """The keys that say what is shown: a prompt, as often as not among others."""
    said: dict[str, Any] = {"prompt": draw(texts)}
    others = draw(st.lists(st.tuples(texts, weights), max_size=3))
    if others:
        mixed = [*others, (said["prompt"], draw(st.sampled_from([0.25, 1])))]
        said["prompts"] = [{"text": text, "weight": weight} for text, weight in mixed]
        if len(mixed) == 2:
            said["blend"] = {"method": draw(st.sampled_from(["linear", "slerp"]))}
    return said


def built(model: Any, keys: st.SearchStrategy[dict[str, Any]], **rest: Any) -> Any:
    """Maps of both kinds of keys, as the wire has them."""
    return st.builds(lambda keys, rest: model(**keys, **rest), keys, st.fixed_dictionaries(rest))


maps: dict[str, st.SearchStrategy[Any]] = {
    "interp_steps": maybe | st.integers(0, 3),
    "transition": maybe | transitions,
    "num_blocks": maybe | st.integers(1, 9),
    "strength": maybe | st.sampled_from([0.25, 0.5]),
    "noise_controller": maybe | st.booleans(),
    "loras": maybe | strengths,
    "seed": maybe | st.integers(0, 9),
}
new = st.just({}) | shown()
held = built(Steer, new, **maps, at_block=maybe | st.integers(0, 6))
starts = built(
    Params,
    shown(),
    num_blocks=maybe | st.integers(1, 6),
    seed=maybe | st.integers(0, 9),
    strength=maybe | st.sampled_from([0.25, 0.5]),
    noise_controller=maybe | st.booleans(),
    loras=maybe | strengths,
    interp_steps=maybe | st.integers(0, 3),
    transition=maybe | transitions,
    steers=maybe | st.lists(held, max_size=3),
    webcam_mode=maybe | st.booleans(),
    start_frame=st.sampled_from([None, None, PICTURE, PICTURE, b"no picture, which is refused"]),
)
steers = (
    held
    | built(Steer, shown(), image=st.just(PICTURE))
    | built(Steer, new, **maps, action=st.just("reset"))
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


def _blended(*parts: tuple[str, float], **rest: Any) -> Steer:
    prompts = [{"text": text, "weight": weight} for text, weight in parts]
    return Steer.model_validate({"prompt": parts[0][0], "prompts": prompts, **rest})


@settings(max_examples=60)
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
@example(
    first=Params(prompt="A", num_blocks=9),
    script=[
        (_blended(("A", 1), ("B", 1), image=PICTURE), 1),
        (Steer(prompt="C"), 1),
        (LOSE_THE_CONNECTION, 1),
        (_blended(("B", 2), ("A", 2), image=PICTURE), 1),
        (_blended(("B", 3), ("A", 1), at_block=7, transition={"method": "slerp"}), 0),
        (LOSE_THE_CONNECTION, 1),
        (Steer(prompt="B"), 1),
    ],
)
@example(
    first=Params(prompt="A", num_blocks=3, steers=(Steer(prompt="B"),)),
    script=[(_pictured("C"), 1)],
)
def test_both_sides_have_the_same_in_force(first: Params, script: list[tuple[Step, int]]) -> None:
    """Params, prompt versions and held maps, over blocks, resets, streams and losses."""
    asyncio.run(_play(first, script))
