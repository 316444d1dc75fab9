"""What `make demo` runs: worker, minted token, stream, steer, video and contact sheet."""

import asyncio
import secrets
from pathlib import Path

from framewire.client import Recorder, connect, local_worker, saver_for

OUT = Path(__file__).parents[1] / "out"
PROMPTS = (
    "a red circle moving right over a night sky",
    "a blue square moving left over green hills",
)
BLOCKS, STEER_AT = 10, 5


async def main() -> None:
    secret = secrets.token_hex(32)
    savers = [saver_for(str(OUT / name)) for name in ("demo.mp4", "contact_sheet.png")]
    async with (
        local_worker(["--auth", "jwt"], env={"FRAMEWIRE_SECRET": secret}) as worker,
        connect(worker.url, secret=secret) as session,  # mints a token with the secret
        Recorder(savers) as recorder,
    ):
        print(f"streaming from {worker.url}: {PROMPTS[0]}")
        await session.start(PROMPTS[0], seed=7, num_blocks=BLOCKS, fmt="msgpack")
        await session.steer(PROMPTS[1], interp_steps=1, at_block=STEER_AT)
        shown = PROMPTS[0]
        async for frame in session:
            prompt = PROMPTS[(frame.prompt_version or 1) - 1]
            if prompt != shown:
                print(f"steered at frame {frame.index}, block {frame.block}: {prompt}")
            shown = prompt
            await recorder.write(frame, prompt)
    print(f"{frame.index + 1} frames")
    print(*(f"saved {saver.path}" for saver in recorder.finished), sep="\n")
    print("direct one: .venv/bin/framewire-worker serve, and open the page whose address it prints")


asyncio.run(main())
