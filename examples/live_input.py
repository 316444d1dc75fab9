"""Send pictures, as a camera would, and get them back restyled by the prompt.

python examples/live_input.py [URL]     without a URL it runs against a worker of its own
"""

import asyncio
import io
import sys

from PIL import Image, ImageDraw

from framewire.client import Session, connect, endpoint


def camera(number: int) -> bytes:
    """A ball that rolls by; a real camera's JPEGs go in just so."""
    picture = Image.new("RGB", (320, 192), "navy")
    x = number * 8 % 320
    ImageDraw.Draw(picture).ellipse((x - 30, 66, x + 30, 126), fill="orange")
    picture.save(data := io.BytesIO(), "JPEG")
    return data.getvalue()


async def film(session: Session) -> None:
    number = 0
    while await session.send_image(camera(number), request_id=str(number), strength=0.6):
        number += 1
        await asyncio.sleep(1 / 24)


async def main(url: str | None = None) -> None:
    async with endpoint(url) as where, connect(where, buffer="newest") as session:
        await session.start("an oil painting", webcam_mode=True, num_blocks=4, fmt="msgpack")
        filming = asyncio.create_task(film(session))
        async for frame in session:
            print(f"frame {frame.index} shows picture {frame.request_id}")
        await filming


asyncio.run(main(*sys.argv[1:]))
