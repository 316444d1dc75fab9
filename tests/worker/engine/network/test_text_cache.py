"""The one cache of text: a prompt's keys are never taken for another's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from support.engines.tiny_engine import SELF_FORCING, tiny_engine

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams


@contextmanager
def no_memory_in_the_last_layer(engine: Engine) -> Iterator[None]:
    """What writes a prompt's keys fails when those of all layers but the last are written."""

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError

    model: Any = engine.transformer.model
    assert len(model.blocks) > 1
    hook = model.blocks[-1].attn2.to_k.register_forward_pre_hook(fail)
    try:
        yield
    finally:
        hook.remove()


def test_a_stream_goes_on_with_its_own_prompt_after_memory_ran_out_for_anothers() -> None:
    params = StreamParams.of(SELF_FORCING, width=32, height=16, seed=5)
    alone = tiny_engine(preset=SELF_FORCING).open("a fox", params)
    wanted = [alone.generate_block() for _ in range(2)]
    engine = tiny_engine(preset=SELF_FORCING)
    fox, owl = (engine.open(prompt, params) for prompt in ("a fox", "an owl"))
    found = [fox.generate_block()]
    with no_memory_in_the_last_layer(engine), pytest.raises(torch.OutOfMemoryError):
        owl.generate_block()
    found.append(fox.generate_block())
    assert all(map(torch.equal, found, wanted))
