"""`framewire stream`: one stream from params to files. What the options mean; parsing is `cli`'s.

Uses only the client's public parts, so it is also the longest example of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from framewire.client.address import redact
from framewire.client.connect import connect
from framewire.client.errors import FramewireError, SaveError
from framewire.client.events import Event, Reconnected, Reconnecting
from framewire.client.local_worker import local_worker
from framewire.client.options import StartOptions, params_from
from framewire.client.savers import ContactSheetSaver, PipeSaver, Recorder, Saver, saver_for
from framewire.client.session import Session

from .clip_feed import ENDLESS, ClipFeed
from .clip_input import clip_from
from .progress import ProgressLine, Tally, connection_text
from .steer_plan import SteerPlan

KREA_FPS = 16.0


def prepare(options: argparse.Namespace) -> list[Saver]:
    """Check what can be checked before anything is started; returns what will save the frames.

    Raises:
        ParamsError: params out of range.
        SaveError: no such kind of file.
        InputError: no such clip or camera.
    """
    options.clip = clip_from(options.input) if options.input else None
    if options.fps is None:
        options.fps = (options.clip and options.clip.fps) or KREA_FPS
    params_from(options.prompt, start_options(options))
    return _savers(options)


async def run_stream(options: argparse.Namespace, savers: list[Saver]) -> int:
    """Stream, save and report; returns the exit code."""
    tally = Tally(prompts=[options.prompt])
    error: FramewireError | None = None
    where: str | None = options.url or options.fal
    completed = interrupted = False
    try:
        async with _address(options) as address:
            where = address
            await _stream(options, address, tally, savers)
        completed = True
    except FramewireError as caught:
        error = caught
    except asyncio.CancelledError:
        interrupted = True
        raise
    finally:
        found = {
            "url": where and redact(where),
            "completed": completed,
            "interrupted": interrupted,
            "error": error and {"code": error.code, "reason": error.reason, "hint": error.hint},
        }
        _report(options, tally, savers, found)
        if error is not None:
            print(f"framewire: {error.code}: {error}", file=sys.stderr)
        elif interrupted:
            print("framewire: interrupted; what had arrived was saved", file=sys.stderr)
    return 0 if completed else 1


def start_options(options: argparse.Namespace) -> StartOptions:
    """The params that the options ask for."""
    width, height = options.size or (None, None)
    found: StartOptions = {
        "width": width,
        "height": height,
        "num_blocks": options.blocks,
        "num_denoising_steps": options.steps,
        "seed": options.seed,
        "start_frame": options.start_frame,
        "strength": options.strength,
    }
    if options.clip is not None:
        found |= {"webcam_mode": True, "input": options.clip.policy}
        found["num_blocks"] = options.blocks or ENDLESS
    if not options.plain:
        found |= {"events": True, "fmt": "msgpack"}
    return found


async def _stream(
    options: argparse.Namespace, address: str, tally: Tally, savers: list[Saver]
) -> None:
    plan = SteerPlan(options.steer, options.fps)
    line = ProgressLine(tally, sys.stderr)

    def on_event(event: Event) -> None:
        tally.saw_event(event)
        plan.saw_event(event)
        if isinstance(event, Reconnecting | Reconnected):
            line.say(connection_text(event))
        line.draw(tally.prompts[-1])

    recorder = Recorder(savers)
    feed = None if options.clip is None else ClipFeed(options.clip)
    try:
        async with (
            recorder,
            connect(
                address,
                key=options.key,
                token=options.token,
                secret=options.secret,
                token_url=options.token_url,
                allow_plaintext=options.allow_plaintext,
                on_event=on_event,
                reconnect=_reconnects(options),
            ) as session,
        ):
            tally.begin()
            await session.start(options.prompt, **start_options(options))
            with contextlib.ExitStack() as background:
                background.enter_context(_in_background(_steer(session, plan, tally)))
                if feed is not None:
                    background.enter_context(_in_background(feed.run(session)))
                async for frame in session:
                    if feed is not None and not feed.takes(frame):
                        continue
                    tally.saw_frame(frame)
                    plan.saw_frame(frame.index)
                    prompt = tally.prompt_of(frame)
                    await recorder.write(frame, prompt)
                    line.say_failures(recorder.failures)
                    line.draw(prompt)
            if feed is not None:
                feed.check()
    finally:
        tally.unsent = plan.waiting()
        line.clear()
        line.say_failures(recorder.failures[1:])  # the first one is the command's own error


async def _steer(session: Session, plan: SteerPlan, tally: Tally) -> None:
    while not plan.is_empty:
        await plan.changed.wait()
        plan.changed.clear()
        for due in plan.due():
            steer = due.steer
            sent = await session.steer(steer.prompt, interp_steps=1, at_block=due.at_block)
            if sent:
                tally.sent_steer(str(steer), steer.prompt, due.at_block)


def _reconnects(options: argparse.Namespace) -> bool:
    """As asked; else where the other side may come back. A worker of one's own does not."""
    if options.clip is not None:
        return False  # what was sent is gone with the connection
    if options.reconnect is None:
        return bool(options.url or options.fal)
    return bool(options.reconnect)


@contextlib.contextmanager
def _in_background(work: Any) -> Iterator[None]:
    """Run `work` meanwhile. Its failures show in the session, which raises them too."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def _address(options: argparse.Namespace) -> AsyncIterator[str]:
    if options.url or options.fal:
        yield options.url or options.fal
        return
    async with local_worker() as worker:
        yield worker.url


def _savers(options: argparse.Namespace) -> list[Saver]:
    savers = [saver_for(target, fps=options.fps) for target in options.out]
    if options.contact_sheet:
        sheet = saver_for(options.contact_sheet)
        if not isinstance(sheet, ContactSheetSaver):
            raise SaveError(f"a contact sheet is a .png or .jpg, not {options.contact_sheet}")
        savers.append(sheet)
    return savers


def _report(
    options: argparse.Namespace, tally: Tally, savers: list[Saver], found: dict[str, Any]
) -> None:
    piped = any(isinstance(saver, PipeSaver) for saver in savers)
    out = sys.stderr if piped else sys.stdout  # which then carries pictures and nothing else
    files = [str(saver.path) for saver in savers if tally.frames and saver.path.exists()]
    if options.json:
        print(json.dumps(tally.as_dict() | found | {"files": files}, ensure_ascii=False), file=out)
    elif tally.frames:
        for text in _summary(tally, files):
            print(text, file=out)
        if not savers:
            print("nothing was saved: add --out video.mp4 or --out frames/", file=out)


def _summary(tally: Tally, files: list[str]) -> Iterator[str]:
    yield (
        f"{tally.frames} frames in {tally.last_after:.1f} s "
        f"({tally.fps:.1f} fps, {tally.bytes / 1e6:.1f} MB)"
    )
    if tally.started is not None:
        said = tally.started
        yield f"seed {said.seed}, {said.width}x{said.height}, backend {said.backend}"
    for steer in tally.steers:
        block, made = steer["block"], tally.blocks
        since = "" if block is None else f", from block {block}"
        due = steer["at_block"] if block is None else block
        late = " (never shown: the stream had ended)" if due and made and due >= made else ""
        yield f"steered at {steer['when']}{since}: {steer['prompt']}{late}"
    for when in tally.unsent:
        yield f"not steered at {when}: the stream was shorter"
    for warning in tally.warnings:
        yield f"warning: {warning}"
    for one in tally.reconnects:
        yield f"reconnected after frame {one['after_frames']}, {one['seconds']:.1f} s without frames"
    yield from (f"saved {name}" for name in files)
