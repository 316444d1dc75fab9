"""A lease on the backend is given back, and what runs on a thread ends before it is let go of."""

import asyncio

import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import running_worker

from framewire.protocol import Params
from framewire.worker.runtime.settings import resolve_settings
from framewire.worker.runtime.to_the_end import to_the_end


async def test_a_session_whose_opener_is_cancelled_twice_is_closed_still() -> None:
    """Cancelled while the backend opens it, and again while that is waited for."""
    backend, gate = ScriptedBackend(), Gate()
    backend.on_open = gate
    settings = resolve_settings(Params(prompt="a"), backend.defaults)
    async with running_worker(backend) as worker:

        async def hold() -> None:
            async with worker.opened(settings):
                raise AssertionError("it was cancelled before")

        holding = asyncio.create_task(hold())
        await entered(gate)
        for _ in range(3):
            holding.cancel()
            await asyncio.sleep(0)
        assert not holding.done()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert backend.sessions[0].closed


async def test_a_session_is_closed_though_its_holder_is_cancelled_twice_meanwhile() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.on_close = gate
    settings = resolve_settings(Params(prompt="a"), backend.defaults)
    async with running_worker(backend) as worker:

        async def hold() -> None:
            async with worker.opened(settings):
                pass

        holding = asyncio.create_task(hold())
        await entered(gate)
        for _ in range(3):
            holding.cancel()
            await asyncio.sleep(0)
        assert not holding.done()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert backend.sessions[0].closed


async def test_work_that_goes_to_its_end_gives_its_result_or_its_error() -> None:
    async def three() -> int:
        return 3

    async def wrong() -> int:
        raise ValueError("wrong")

    assert await to_the_end(three()) == 3
    with pytest.raises(ValueError, match="wrong"):
        await to_the_end(wrong())
