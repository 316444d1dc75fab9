"""A worker of one's own: it comes up, is told apart from one that does not, and is always reaped."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from support.clock import at_rest, time_passes

from framewire.client import WorkerStartError, connect, endpoint, local_worker


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """Put a program of ours in the worker's place; it leaves its pid in the returned file."""
    pid_file = tmp_path / "pid"
    program = tmp_path / "worker"
    program.write_text(
        f"#!{sys.executable}\nimport os, signal, sys, time\n"
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{code}\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return pid_file


async def test_it_serves_and_is_gone_afterwards() -> None:
    """A real worker on a free port; the process does not outlive the block."""
    async with local_worker(backend="testcard") as worker:
        async with connect(worker.url) as session:
            await session.start("a fox", num_blocks=1, width=64, height=64)
            assert len([frame async for frame in session]) == 6
        assert is_alive(worker.pid)
    assert not is_alive(worker.pid)


async def test_it_is_stopped_when_the_block_fails() -> None:
    """An exception or a cancellation leaves no process behind."""
    with pytest.raises(RuntimeError, match="mine"):
        async with local_worker(backend="testcard") as worker:
            raise RuntimeError("mine")
    assert not is_alive(worker.pid)


async def test_variables_for_another_worker_do_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FRAMEWIRE_HOST and the like in the user's shell are for the worker he deploys."""
    for name, value in (("HOST", "0.0.0.0"), ("PORT", "1"), ("AUTH", "jwt"), ("KEY", "k")):
        monkeypatch.setenv(f"FRAMEWIRE_{name}", value)
    async with local_worker(backend="testcard") as worker, connect(worker.url, token="none"):
        assert worker.url.startswith("ws://127.0.0.1:")


async def test_a_worker_that_fails_to_start_is_quoted() -> None:
    """Its own words say best what is wrong."""
    with pytest.raises(WorkerStartError, match="nonsense"):
        async with local_worker(backend="nonsense"):
            pass


async def test_without_the_worker_extra_the_install_line_is_named(tmp_path: Path) -> None:
    """The client alone is a valid installation."""
    stub = "raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')"
    (tmp_path / "uvicorn.py").write_text(stub)
    with pytest.raises(WorkerStartError, match=r"pip install 'framewire\[worker\]'"):
        async with local_worker(backend="testcard", env={"PYTHONPATH": str(tmp_path)}):
            pass


async def test_a_worker_that_never_listens_is_given_up_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is bounded; one that does not heed SIGTERM either is killed."""
    loading = tmp_path / "loading"
    os.mkfifo(loading)
    pid_file = fake_worker(
        tmp_path,
        monkeypatch,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('loading', file=sys.stderr, flush=True)\n"
        f"open({str(loading)!r}, 'w').close()\ntime.sleep(600)",
    )
    monkeypatch.setattr(sys.modules[local_worker.__module__], "STOP_TIMEOUT", 0.1)

    async def starting() -> None:
        async with local_worker(start_timeout=600):
            pass

    started = asyncio.create_task(starting())
    await asyncio.to_thread(loading.read_bytes)  # blocks until the other end was opened
    await at_rest()
    time_passes(700)
    with pytest.raises(WorkerStartError, match=r"not ready within 600 s:\n  loading"):
        await started
    assert not is_alive(int(pid_file.read_text()))


async def test_a_first_line_that_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program in the worker's place is not taken for one."""
    pid_file = fake_worker(tmp_path, monkeypatch, "print('hello', flush=True)\ntime.sleep(600)")
    with pytest.raises(WorkerStartError, match="'hello'"):
        async with local_worker():
            pass
    assert not is_alive(int(pid_file.read_text()))


async def test_a_talkative_worker_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both pipes are read on, or the worker would stop when they are full."""
    done = tmp_path / "done"
    os.mkfifo(done)
    fake_worker(
        tmp_path,
        monkeypatch,
        'print(\'{"url": "ws://x/ws"}\', flush=True)\n'
        "for n in range(20000): print('x' * 99); print('y' * 99, file=sys.stderr)\n"
        f"open({str(done)!r}, 'w').close()\ntime.sleep(600)",
    )
    async with local_worker(), asyncio.timeout(60):
        await asyncio.to_thread(done.read_bytes)  # blocks until the other end was opened


async def test_a_given_url_starts_nothing() -> None:
    """`endpoint` is for examples and tools that take an optional URL."""
    async with endpoint("ws://elsewhere/ws") as url:
        assert url == "ws://elsewhere/ws"
