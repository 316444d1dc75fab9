"""A replica hears that it is to be stopped from Serve's details, whatever else they say."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from framewire.worker.on_ray import stopping
from framewire.worker.on_ray.stopping import until_stopping


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_EVERY", 0.0)
    monkeypatch.setattr(stopping, "_PER_REPLICA", 0.0)


def details(**states: str) -> Mapping[str, Any]:
    replicas = [{"replica_id": id, "state": state} for id, state in states.items()]
    return {"applications": {"a": {"deployments": {"d": {"replicas": replicas}}}}}


class Script:
    """Serve's details, one after the other; the last for ever."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self) -> Mapping[str, Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_only_its_own_state_counts() -> None:
    script = Script(
        details(me="RUNNING", other="STOPPING"),
        details(other="STOPPING"),
        details(me="STOPPING"),
    )
    await asyncio.wait_for(until_stopping(script, "me"), 60)
    assert script.asked == 3


async def test_a_controller_that_cannot_be_asked_is_asked_again_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = [ConnectionError("gone"), KeyError("applications"), {"applications": None}]
    script = Script(*broken, details(me="RUNNING"), details(me="STOPPING"))
    await asyncio.wait_for(until_stopping(script, "me"), 60)
    assert script.asked == 5
    assert len([line for line in caplog.messages if "Serve's details" in line]) == 1
