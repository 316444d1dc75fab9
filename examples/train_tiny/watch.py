"""The tiny model as a viewer sees it: streams of a real worker, brought back to the world's size.

Owns what goes over the wire for a measurement, and what comes back. Knows no measure.
"""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from train_tiny.world import HEIGHT, WIDTH, Frames

from framewire.client import connect

SIZE = (832, 480)


async def watch(
    url: str,
    prompt: str,
    blocks: int,
    seed: int,
    *,
    steer: tuple[int, str, int] | None = None,
    pictures: Frames | None = None,
    **options: Any,
) -> list[Frames]:
    """Stream at the default size: for each block its frames [T, HEIGHT, WIDTH, 3].

    Args:
        steer: a block to change the prompt at, the new prompt, and blocks until it is reached.
        pictures: live input, uint8 [T, HEIGHT, WIDTH, 3], of which every one is used.
        options: more of `Session.start`.
    """
    if pictures is not None:
        options |= {"webcam_mode": True, "input": "all"}
    made: list[list[Frames]] = [[] for _ in range(blocks)]
    if steer is not None:
        block, other, steps = steer
        options["steers"] = [{"prompt": other, "interp_steps": steps, "at_block": block}]
    async with connect(url) as session:
        await session.start(prompt, num_blocks=blocks, seed=seed, fmt="msgpack", **options)
        for picture in () if pictures is None else pictures:
            await session.send_image(png(picture))
        async for frame in session:
            if frame.block is None:
                raise ValueError("the worker names no block: is it framewire's?")
            made[frame.block].append(_small(frame.jpeg))
    return [np.stack(frames) for frames in made]


def png(picture: Frames) -> bytes:
    """A picture [H, W, 3] as PNG."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def _small(jpeg: bytes) -> Frames:
    with Image.open(BytesIO(jpeg)) as picture:
        if picture.size != SIZE:
            raise ValueError(f"expected frames of {SIZE}, got {picture.size}")
        return np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX))
