"""`framewire stream`: one stream from params to files. What the options mean; parsing is `cli`'s.

Uses only the client's public parts, so it is also the longest example of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from framewire.client.address import redact
from framewire.client.connect import connect
from framewire.client.errors import FramewireError
from framewire.client.events import Event, Reconnected, Reconnecting
from framewire.client.local_worker import local_worker
from framewire.client.options import StartOptions, params_from
from framewire.client.savers import Recorder, Saver
from framewire.client.session import Session

from .blend_option import prompts_of
from .clip_feed import ENDLESS, ClipFeed
from .input_options import look_at_input
from .outputs import savers_of
from .progress import ProgressLine, Tally, connection_text
from .report import interruption_text, report
from .steer_plan import SteerPlan
from .terminal import printable


def prepare(options: argparse.Namespace) -> list[Saver]:
    """Check what can be checked before anything is started; returns what will save the frames.

    Raises:
        ParamsError: params out of range.
        SaveError: no such kind of file, or one that is read as well.
        InputError: no such clip or camera, or a picture that cannot be used.
    """
    options.said = look_at_input(options)
    options.shown = str(params_from(_prompt(options), start_options(options)).shown)
    return savers_of(options)


async def run_stream(options: argparse.Namespace, savers: list[Saver]) -> int:
    """Stream, save and report; returns the exit code."""
    tally = Tally(prompts=[options.shown])
    recorder = Recorder(savers, on_loss=_say_what_is_lost)
    feed = None if options.clip is None else ClipFeed(options.clip, options.covers)
    error: FramewireError | None = None
    where: str | None = options.url or options.fal
    completed = interrupted = False
    try:
        async with _address(options) as address:
            where = address
            await _stream(options, address, tally, recorder, feed)
        completed = True
    except FramewireError as caught:
        error = caught
    except (asyncio.CancelledError, KeyboardInterrupt):
        interrupted = True
        raise
    finally:
        found = {
            "url": where and redact(where),
            "completed": completed,
            "interrupted": interrupted,
            "error": error and {"code": error.code, "reason": error.reason, "hint": error.hint},
        }
        if feed is not None:
            found["input"] = feed.as_dict()
        report(options, tally, savers, found)
        if error is not None:
            print(printable(f"framewire: {error.code}: {error}"), file=sys.stderr)
        elif interrupted:
            print(f"framewire: {interruption_text(recorder)}", file=sys.stderr)
    return 0 if completed else 1


def start_options(options: argparse.Namespace) -> StartOptions:
    """The params that the options ask for."""
    width, height = options.size or (None, None)
    found: StartOptions = {
        "prompts": prompts_of(options),
        "width": width,
        "height": height,
        "num_blocks": options.blocks,
        "num_denoising_steps": options.steps,
        "seed": options.seed,
        "start_frame": options.start_picture,
        "strength": options.strength,
    }
    if options.clip is not None:
        found |= {"webcam_mode": True, "input": options.clip.policy}
        found["num_blocks"] = options.blocks or ENDLESS
    if not options.plain:
        found |= {"events": True, "fmt": "msgpack"}
    return found


def _prompt(options: argparse.Namespace) -> str | None:
    """As it was typed; of a blend the heaviest text, which the client finds."""
    return None if options.blend else str(options.prompt)


async def _stream(
    options: argparse.Namespace,
    address: str,
    tally: Tally,
    recorder: Recorder,
    feed: ClipFeed | None,
) -> None:
    plan = SteerPlan(options.steer, options.fps)
    line = ProgressLine(tally, sys.stderr)
    for text in options.said:
        line.say(text)
    if feed is not None:
        feed.on_unusable = lambda one: line.say(f"left out: {one}")

    def on_event(event: Event) -> None:
        if feed is not None:
            feed.saw_event(event)
        tally.saw_event(event)
        plan.saw_event(event)
        if isinstance(event, Reconnecting | Reconnected):
            line.say(connection_text(event))
        line.draw(tally.prompts[-1])

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
            await session.start(_prompt(options), **start_options(options))
            with contextlib.ExitStack() as background:
                background.enter_context(_telling_what_waits(recorder, line))
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


def _say_what_is_lost() -> None:
    print("framewire: interrupted again; what waits is lost, finishing files", file=sys.stderr)


@contextlib.contextmanager
def _telling_what_waits(recorder: Recorder, line: ProgressLine) -> Iterator[None]:
    """At Ctrl-C: what another one would cost."""
    try:
        yield
    except asyncio.CancelledError:
        if recorder.waiting:
            line.say(
                f"interrupted; saving {recorder.waiting} frames that have arrived "
                "(they are lost if you interrupt again)"
            )
        raise


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
