"""A screen, restyled, to an RTMP server, such as a site's that shows streams.

python examples/live/screen_to_rtmp.py RTMP_URL [SOURCE] [URL]   the screen, and a worker of its own
"""

import asyncio
import contextlib
import sys

from framewire.client import Recorder, connect, endpoint
from framewire.client.live_input import open_source
from framewire.client.live_output import sink_for


async def main(to: str, name: str = "screen", url: str | None = None) -> None:
    sink = sink_for(to, fps=16, latency=1.0)
    sink.on_said = print  # that it went away, and that it is back
    source = await open_source(name, fps=16)
    async with endpoint(url) as where, connect(where) as session, Recorder([], live=[sink]) as out:
        await session.start("a comic", webcam_mode=True, num_blocks=100_000, fps=16)
        async with session.feed(source) as feeding:
            async for frame in feeding:
                await out.write(frame)
                if frame.index % 48 == 47 and sink.latency is not None:
                    print(
                        f"{sink.shown} frames at {sink.target.shown}, {sink.latency:.2f} s behind"
                    )


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main(*sys.argv[1:]))
