"""Restyle what is live: a camera, a screen, a stream on the network.

python examples/live/restyle.py [SOURCE] [URL]   testsrc, and a worker of its own, where left out
"""

import asyncio
import sys

from framewire.client import connect, endpoint
from framewire.client.live_input import open_source


async def main(name: str = "testsrc", url: str | None = None) -> None:
    source = await open_source(name, fps=24)
    print(f"{source.name} is open; {', '.join(source.notes) or 'nothing is left out'}")
    async with endpoint(url) as where, connect(where, buffer="newest") as session:
        await session.start(
            "an oil painting",
            webcam_mode=True,
            input=source.policy,
            num_blocks=4,
            width=320,
            height=192,
            fmt="msgpack",
        )
        async with session.feed(source) as feeding:
            frames = [frame async for frame in feeding]
    late = "" if feeding.latency is None else f", each {feeding.latency:.2f} s after its picture"
    print(f"{len(frames)} frames{late}")


asyncio.run(main(*sys.argv[1:]))
