"""What is said of a typed line that cannot take effect."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from framewire.client.commands.typed.recording import Recording
from framewire.client.commands.typed.steering import Steering
from framewire.protocol import Started


@pytest.mark.parametrize(
    ("made_with", "says"),
    [
        ({"loras": "gold=0 live, stage=0.5 live"}, "has no such adapter, only gold, stage"),
        ({"loras": "gold=0.5 merged"}, "has no such adapter, none that a stream can change"),
        ({"preset": "tiny"}, "has no such adapter, none that a stream can change"),
    ],
)
async def test_a_worker_is_not_asked_for_an_adapter_that_it_does_not_have(
    made_with: dict[str, str], says: str
) -> None:
    """Its name is named, and what there is."""
    said: list[str] = []
    started = Started(
        session_id="x", seed=1, width=64, height=64, num_blocks=1, backend="tiny",
        made_with=made_with,
    )  # fmt: skip
    nothing = cast(Any, None)
    steering = Steering(
        nothing, cast(Any, SimpleNamespace(started=[started])), nothing, nothing, nothing, nothing,
        said.append,
    )  # fmt: skip
    await steering.take("/lora chalk=1")
    assert said == [f"/lora chalk: this worker {says}"]


@pytest.mark.parametrize(
    "line", ["/save ~nobody-of-that-name/x.json", "/record ~nobody-here/x.mp4"]
)
async def test_a_path_that_cannot_be_looked_at_is_told_and_the_next_line_counts(line: str) -> None:
    """A home of nobody, and a name that no file system takes."""
    said: list[str] = []
    nothing = cast(Any, None)
    recording = Recording(16, [], said.append)
    steering = Steering(nothing, nothing, nothing, recording, nothing, nothing, said.append)
    await steering.take(line)
    assert "home directory" in said[-1]
    await steering.take("/record " + 300 * "x" + ".mp4")
    assert said[-1].endswith(".mp4: File name too long")
    await steering.take("/help")
    assert "/record" in said[-1]
