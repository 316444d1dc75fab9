"""A stream made by the engine alone, one step after the other: what a served one must equal.

Owns a plain loop over one engine of `tiny-random`; knows no lane, no thread and no socket.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.random_weights import TINY_RANDOM
from framewire.worker.models.setup import ModelSetup
from framewire.worker.runtime.pictures import encode_jpegs

Pictures = NDArray[np.uint8]
QUICK: dict[str, Any] = {"width": 64, "height": 64, "num_denoising_steps": 2, "seed": 3}


def tiny_random(**build: Any) -> Engine:
    """The engine that the preset `tiny-random` serves."""
    cpu = torch.device("cpu")
    return random_engine(TINY_RANDOM, Build(cpu, torch.float32, torch.float32, **build))


def tiny_backend(**setup: Any) -> WanBackend:
    """Its backend, not yet loaded."""
    return WanBackend(TINY_RANDOM, tiny_random, ModelSetup(**setup))


def plain_stream(
    prompt: str,
    blocks: int,
    *,
    start_frame: Pictures | None = None,
    pictures: Sequence[Pictures] = (),
    steer: Mapping[int, Callable[[Generation], None]] | None = None,
    engine: Engine | None = None,
    **params: Any,
) -> list[bytes]:
    """The JPEGs of a stream.

    Args:
        pictures: input, of the stream's size, for as many blocks as it suffices.
        steer: what is done to the stream before the block of that number.
    """
    given = StreamParams.of(TINY_RANDOM, **(QUICK | params))
    start = None if start_frame is None else torch.from_numpy(start_frame)
    generation = (engine or tiny_random()).open(prompt, given, start_frame=start)
    frames: list[NDArray[np.uint8]] = []
    left = list(pictures)
    for block in range(blocks):
        if steer and block in steer:
            steer[block](generation)
        source = None
        if len(left) >= generation.pictures_needed and pictures:
            taken, left = left[: generation.pictures_needed], left[generation.pictures_needed :]
            source = torch.from_numpy(np.stack(taken))
        latents = generation.denoise_block(source)
        early = generation.early_latents
        if 0 < early < latents.shape[0]:
            frames.extend(generation.decode_block(latents, only=early).numpy())
        frames.extend(generation.decode_block(latents).numpy())
    return encode_jpegs(np.stack(frames))
