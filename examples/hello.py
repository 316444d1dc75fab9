"""The smallest stream: start, and look at each frame as it comes.

python examples/hello.py [URL]     without a URL it runs against a worker of its own
"""

import asyncio
import sys

from framewire.client import connect, endpoint


async def main(url: str | None = None) -> None:
    async with endpoint(url) as where, connect(where) as session:
        await session.start("a lighthouse at dawn", seed=7, num_blocks=3)
        async for frame in session:
            print(f"frame {frame.index}: a JPEG of {len(frame.jpeg)} bytes")


asyncio.run(main(*sys.argv[1:]))
