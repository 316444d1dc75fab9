"""Save a stream as JPEG files, and as a video too where the extra `video` is installed.

python examples/save_frames.py [URL]     without a URL it runs against a worker of its own
"""

import asyncio
import sys
import tempfile

from framewire.client import Recorder, SaveError, connect, endpoint, saver_for


async def main(url: str | None = None) -> None:
    folder = tempfile.mkdtemp(prefix="framewire-")
    savers = [saver_for(f"{folder}/frames/")]
    try:
        savers.append(saver_for(f"{folder}/video.mp4", fps=16))
    except SaveError as error:
        print(error)
    async with endpoint(url) as where, connect(where) as session, Recorder(savers) as recorder:
        await session.start("a red fox in the snow", seed=7, num_blocks=4)
        async for frame in session:
            await recorder.write(frame)
    for saver in recorder.finished:
        print("saved", saver.path)


asyncio.run(main(*sys.argv[1:]))
