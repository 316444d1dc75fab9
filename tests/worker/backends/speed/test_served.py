"""A worker that was asked to be fast: what it says of that, and that no part of it can end it."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.servers.worker_server import PATIENCE, command

from framewire.client import connect
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.speed.parts import Resolved
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.random_weights import TINY_RANDOM
from framewire.worker.models.setup import ModelSetup

CRASHES = """#!/bin/sh
kill -SEGV 0
"""


@pytest.mark.timeout(300)
async def test_a_compiler_that_crashes_its_process_costs_compilation_alone(tmp_path: Path) -> None:
    """The worker says what it does without, in its JSON line, its log and /health, and serves."""
    compiler = tmp_path / "c++"
    compiler.write_text(CRASHES)
    compiler.chmod(0o755)
    options = ("--backend", "wan", "--preset", "tiny-random", "--speed", "fast")
    env = {"CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    async with command(*options, **env) as running:
        speed = running.said["speed"]
        assert speed["asked"] == "fast" and speed["parts"] == ["fuse-qkv", "tune-convolutions"]
        assert speed["left_out"]["compile"] == "it crashes (SIGSEGV)"
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            health = (await http.get(f"{running.http}/health")).json()
        assert health["speed"]["parts"] == ["fuse-qkv", "tune-convolutions"]
        assert set(health["speed"]["left_out"]) == set(speed["left_out"])
        async with connect(running.url) as session:
            await session.start(prompt="a fox", seed=1, num_blocks=2)
            assert [frame.index async for frame in session] == list(range(18))
    log = "".join(running.log)
    assert len(re.findall("WARNING.*goes without compile: it crashes", log)) == 1


class Crossed:
    """Builds `tiny-random`, but not with fused projections, as if the whole model were too much."""

    def __init__(self) -> None:
        self.backend: WanBackend | None = None
        self.asked: list[EngineOptions] = []

    def __call__(self) -> Engine:
        import torch

        assert self.backend is not None
        self.asked.append(self.backend.options)
        if self.backend.options.fuse_qkv:
            raise RuntimeError("CUDA error: too much\nand more lines")
        cpu = torch.device("cpu")
        build = Build(cpu, torch.float32, torch.float32, self.backend.options)
        return random_engine(TINY_RANDOM, build)


def backend_with(build: Crossed, speed: Callable[[EngineOptions], Resolved]) -> WanBackend:
    setup = ModelSetup(speed="fast", options=EngineOptions(skip_zero=True), threads=1)
    resolve = lambda: speed(setup.options)
    build.backend = WanBackend(TINY_RANDOM, build, setup, resolve=resolve)
    return build.backend


def test_parts_that_fail_on_the_whole_model_are_left_out_and_it_is_loaded_without_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was set by hand stays; it is not tried again when the backend is mended."""
    build = Crossed()
    backend = backend_with(
        build, lambda by_hand: Resolved("fast", replace(by_hand, fuse_qkv=True), ("fuse-qkv",))
    )
    backend.load()
    assert backend.options == EngineOptions(skip_zero=True)
    assert backend.speed()["left_out"] == {"fuse-qkv": "RuntimeError on the whole model"}
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "goes without any of its parts" in warning.getMessage()
    assert "and more lines" not in warning.getMessage()
    backend.load()
    assert [one.fuse_qkv for one in build.asked] == [True, False, False]
    backend.close()


def test_what_fails_without_a_speed_is_not_hidden() -> None:
    build = Crossed()
    setup = ModelSetup(options=EngineOptions(fuse_qkv=True), threads=1)
    build.backend = WanBackend(TINY_RANDOM, build, setup)
    with pytest.raises(RuntimeError, match="too much"):
        build.backend.load()


def test_frames_say_by_what_options_they_were_made() -> None:
    build = Crossed()
    backend = backend_with(build, lambda by_hand: Resolved("fast", by_hand))
    backend.load()
    assert backend.made_with()["speed"] == "skip_zero=True"
    backend.close()


@pytest.mark.parametrize(
    ("options", "given", "left_out"),
    [
        (EngineOptions(), frozenset[str](), True),
        (EngineOptions(), frozenset({"skip_zero"}), False),
        (EngineOptions(fuse_qkv=True), frozenset({"fuse_qkv"}), True),
    ],
)
def test_tiny_takes_options_and_leaves_the_pass_at_0_out_unless_told_otherwise(
    options: EngineOptions, given: frozenset[str], left_out: bool
) -> None:
    backend = servable_presets()["tiny"].make(ModelSetup(options=options, given=given))
    backend.load()
    assert isinstance(backend, WanBackend)
    assert backend.engine.options == replace(options, skip_zero=left_out)
    model: Any = backend.engine.transformer.model
    assert model.blocks[0].attn1.fused_projections is options.fuse_qkv
    backend.close()
