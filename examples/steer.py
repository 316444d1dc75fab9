"""Change the prompt while the stream runs: once at a frame, once exactly at a block.

python examples/steer.py [URL]     without a URL it runs against a worker of its own
"""

import asyncio
import sys

from framewire.client import Event, Steered, connect, endpoint


def show(event: Event) -> None:
    if isinstance(event, Steered):
        print(f"prompt {event.prompt_version} shows from block {event.block} on")


async def main(url: str | None = None) -> None:
    async with endpoint(url) as where, connect(where, on_event=show) as session:
        await session.start("the lighthouse at dawn", seed=7, num_blocks=12, events=True)
        await session.steer("the lighthouse by night", at_block=9)
        async for frame in session:
            if frame.index == 30:
                # As soon as can be: from the next block that the worker begins.
                await session.steer("the lighthouse in a storm", interp_steps=1)
        print(f"{frame.index + 1} frames")


asyncio.run(main(*sys.argv[1:]))
