"""What one engine takes on one device: each stage alone, and streaming as it is served.

Owns the measuring of a `WanBackend` from outside, through the calls that a worker makes. Medians
are of settled blocks: the first ones have shorter contexts and shapes of their own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from framewire.worker.backends.base import Block
from framewire.worker.backends.wan import WanBackend
from framewire.worker.backends.wan_clock import StageClock
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import FRAMES_PER_LATENT
from framewire.worker.runtime.pictures import encode_jpegs

from .steering import steering
from .workload import PROMPT, Workload, moving_grey, next_block


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        stages: milliseconds of each stage of a settled block, run one after the other; `denoise`
            is one pass, `encode_still` the re-encoded picture, `encode_input` a live block's.
        fps: streaming, decoding and JPEG beside the next block's denoising.
        first_frame_ms: from opening a stream to its first block as JPEGs.
        steer_ms: from new prompts, said at moments spread over a block, to the first JPEGs that
            show each; these are of `steer_blocks` later than the block under way.
        input_ms: from a live block's last picture to its JPEGs, nothing beside it; None for text.
        load_s: seconds until the weights were there; `warm_up_s` more until all shapes had been
            run, compiling included.
        memory_gb: the most that the GPU held, `reserved_gb` with what torch kept of it; 0 without
            one.
        attention: the kernel in use.
        first_frames: in the first block; `block_frames` in a settled one.
        frames: of the first blocks, for comparing.
    """

    stages: dict[str, float]
    block_ms: float
    block_ms_p90: float
    block_ms_most: float
    fps: float
    first_frame_ms: float
    steer_ms: list[float]
    steer_blocks: int
    input_ms: float | None
    load_s: float
    warm_up_s: float
    memory_gb: float
    reserved_gb: float
    attention: str
    first_frames: int
    block_frames: int
    frames: NDArray[np.uint8] = field(repr=False)


def measure(backend: WanBackend, work: Workload, say: Callable[[str], None]) -> Measured:
    """Load `backend`, measure it and close it."""
    reset_peak()
    say("loading and warming up")
    load_s, warm_up_s = _load(backend)
    try:
        say("stages, one after the other")
        stages = _stages(backend, work)
        say("streaming as served")
        blocks_ms, first_ms, frames = _streaming(backend, work)
        block_ms = statistics.median(blocks_ms)
        say("prompt to pixel")
        steer_ms, steer_blocks = steering(backend, work, block_ms / 1000)
        per_block = frames[-1].shape[0]
        return Measured(
            stages=stages,
            block_ms=block_ms,
            block_ms_p90=float(np.percentile(blocks_ms, 90)),
            block_ms_most=max(blocks_ms),
            fps=per_block / block_ms * 1000,
            first_frame_ms=first_ms,
            steer_ms=steer_ms,
            steer_blocks=steer_blocks,
            input_ms=_input_to_frames(backend, work) if work.live else None,
            load_s=load_s,
            warm_up_s=warm_up_s,
            memory_gb=peak_gb(),
            reserved_gb=_reserved_gb(),
            attention=backend.engine.transformer.kernel.__name__,
            first_frames=frames[0].shape[0],
            block_frames=per_block,
            frames=np.concatenate(frames),
        )
    finally:
        backend.close()


def reset_peak() -> None:
    """Begin to look for the most memory that is held."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float:
    """The most that the GPU held since, or 0 without one."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


def _reserved_gb() -> float:
    return torch.cuda.max_memory_reserved() / 1e9 if torch.cuda.is_available() else 0.0


def _load(backend: WanBackend) -> tuple[float, float]:
    """Seconds of loading and of warming up."""
    began = time.perf_counter()
    backend.load()
    whole = time.perf_counter() - began
    return backend.load_seconds, whole - backend.load_seconds


def _stages(backend: WanBackend, work: Workload) -> dict[str, float]:
    """Median milliseconds of each stage, nothing beside it."""
    engine = backend.engine
    device = engine.transformer.device
    clock = StageClock(device)
    params, settled = work.params(backend.preset), work.settled(backend.preset)
    generation = engine.open(PROMPT, params, timer=clock)
    noted: dict[str, list[float]] = {}
    for block in range(settled + work.blocks):
        needed = generation.pictures_needed if work.live else 0
        pictures = moving_grey(needed, block, params.width, params.height)
        source = torch.from_numpy(np.stack(pictures)) if pictures else None
        with clock.collecting() as spent:
            frames = generation.generate_block(source)
        pixels = frames.cpu().numpy()
        if block < settled:
            continue
        began = time.perf_counter()
        encode_jpegs(pixels)
        noted.setdefault("jpeg", []).append(1000 * (time.perf_counter() - began))
        for stage, ms in spent.passes():
            name = "encode_still" if stage == "encode" and not work.live else stage
            noted.setdefault(name, []).append(ms)
    noted["encode_input"] = noted.pop("encode", []) or _input_encoding(backend, params)
    return {stage: round(statistics.median(values), 3) for stage, values in noted.items()}


def _input_encoding(backend: WanBackend, params: StreamParams) -> list[float]:
    """Milliseconds of bringing a block's input pictures to latents."""
    vae = backend.engine.vae
    device = backend.engine.transformer.device
    state = vae.open_encoder()
    values = []
    whole = FRAMES_PER_LATENT * backend.preset.block_frames
    for count in (1 + whole - FRAMES_PER_LATENT, whole, whole, whole):
        pixels = torch.zeros(count, 3, params.height, params.width, device=device)
        _wait(device)
        began = time.perf_counter()
        vae.encode(pixels, state)
        _wait(device)
        values.append(1000 * (time.perf_counter() - began))
    return values[1:]


def _streaming(
    backend: WanBackend, work: Workload
) -> tuple[list[float], float, list[NDArray[np.uint8]]]:
    """Milliseconds of each settled block, to the first block, and the first blocks' frames."""
    began = time.perf_counter()
    session = backend.open(work.settings(backend.defaults))
    settled = work.settled(backend.preset)
    arrived: list[float] = []
    frames: list[NDArray[Any]] = []
    with ThreadPoolExecutor(1) as codec:
        underway: Future[tuple[float, Block]] | None = None
        for block in range(settled + work.blocks + 1):
            finish = next_block(session, work, block)
            if underway is not None:
                _note(underway, arrived, frames)
            underway = codec.submit(_finished, finish)
        assert underway is not None
        _note(underway, arrived, frames)
    session.close()
    gaps = [1000 * float(gap) for gap in np.diff(arrived)[settled:]]
    first = 1000 * (arrived[0] - began)
    return gaps, first, frames[: settled + 1]


def _input_to_frames(backend: WanBackend, work: Workload) -> float:
    """Median milliseconds from the last picture of a settled block to its JPEGs."""
    session = backend.open(work.settings(backend.defaults))
    settled = work.settled(backend.preset)
    waited = []
    for block in range(settled + work.blocks):
        began = time.perf_counter()
        encode_jpegs(next_block(session, work, block)().frames)
        waited.append(1000 * (time.perf_counter() - began))
    session.close()
    return statistics.median(waited[settled:])


def _finished(finish: Callable[[], Block]) -> tuple[float, Block]:
    block = finish()
    encode_jpegs(block.frames)
    return time.perf_counter(), block


def _note(
    underway: Future[tuple[float, Block]], arrived: list[float], frames: list[NDArray[Any]]
) -> None:
    at, block = underway.result()
    arrived.append(at)
    frames.append(block.frames)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
