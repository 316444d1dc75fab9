"""`framewire stream`: one stream from params to files. What the options mean; parsing is `cli`'s.

Uses only the client's public parts, so it is also the longest example of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

from framewire.client.address import redact
from framewire.client.connect import connect
from framewire.client.errors import FramewireError, SaveError
from framewire.client.events import Event, OnEvent, Reconnected, Reconnecting
from framewire.client.live_input.feed import ENDLESS, Feed
from framewire.client.live_input.sources.live import LiveSource
from framewire.client.live_output import Sink
from framewire.client.local_worker import local_worker
from framewire.client.options import StartOptions
from framewire.client.prompts.on_stream import check_expansion, expand_if_asked
from framewire.client.savers import DeviceSaver, PipeSaver, Recorder, Saver
from framewire.client.session import Session
from framewire.client.timeline.journal import Journal
from framewire.client.timeline.playing import Playing
from framewire.client.timeline.shown import Change
from framewire.protocol import Warned

from .input_options import look_at_input
from .kept_session import KeptSession, check_same_input, journal_of
from .lora_option import at_start
from .outputs import savers_of, sinks_of
from .progress import ProgressLine, Tally, connection_text
from .report import interruption_text, latency_of, report
from .terminal import printable
from .timeline_input import look_at_timeline, notes_on, parts_to_play, played_as_dict
from .typed.command import look_at_typing, steered_by
from .typed.recording import Recording
from .typed.steering import Steering, shown_text


def prepare(options: argparse.Namespace) -> list[Saver]:
    """Check what can be checked before anything is started; returns what will save the frames.

    Raises:
        ParamsError: params out of range.
        SaveError: no such kind of file, or one that is read as well.
        InputError: no such clip or live source, or a picture that cannot be used.
        TimelineError: a timeline that cannot be played.
        PromptError, PlaintextError: a prompt is to be expanded, and there is no way to.
    """
    said = [*look_at_timeline(options), *look_at_typing(options)]
    options.clip, options.sinks = None, []
    with contextlib.ExitStack() as undone:
        undone.callback(lambda: options.clip and options.clip.close())
        options.said = [*said, *look_at_input(options)]
        check_expansion(options)
        check_same_input(options)
        options.sinks = sinks_of(options)
        options.parts = parts_to_play(options, start_options(options))
        options.recorded = []
        options.journal = journal = journal_of(options)
        options.kept = None
        if options.save_timeline and journal is not None:
            options.kept = KeptSession(options.save_timeline, journal)
        savers = savers_of(options, options.kept)
        options.outputs = [*savers, *([options.kept] if options.kept else [])]
        undone.pop_all()
    return savers


async def run_stream(options: argparse.Namespace, savers: list[Saver]) -> int:
    """Stream, save and report; returns the exit code."""
    if await expand_if_asked(options):
        options.parts = parts_to_play(options, start_options(options))
    tally = Tally(prompts=[])
    recorder = Recorder(savers, live=options.sinks, on_loss=_say_what_is_lost)
    feed = None if options.clip is None else Feed(options.clip, options.covers)
    error: FramewireError | None = None
    where: str | None = options.url or options.fal
    completed = interrupted = False
    played: dict[str, Any] = {}
    try:
        async with _address(options) as address:
            where = address
            await _stream(options, address, tally, recorder, feed, played)
        completed = True
    except FramewireError as caught:
        error = caught
    except (asyncio.CancelledError, KeyboardInterrupt):
        interrupted = True
        raise
    finally:
        if options.clip is not None:
            options.clip.close()
        kept, unkept = _keep(options)
        error = error or unkept
        found: dict[str, Any] = {
            "url": where and redact(where),
            "completed": completed,
            "interrupted": interrupted,
            "error": error and {"code": error.code, "reason": error.reason, "hint": error.hint},
        }
        found |= played
        if options.original_prompt is not None:
            found["original_prompt"] = options.original_prompt
        if feed is not None:
            found["input"] = feed.as_dict()
        found |= kept
        found["live"] = [sink.as_dict() for sink in options.sinks]
        report(options, tally, [*savers, *options.recorded], found)
        if error is not None:
            print(printable(f"framewire: {error.code}: {error}"), file=sys.stderr)
        elif interrupted:
            print(f"framewire: {interruption_text(recorder, options.recorded)}", file=sys.stderr)
    return 0 if completed and error is None else 1


def _keep(options: argparse.Namespace) -> tuple[dict[str, Any], SaveError | None]:
    """Write what was kept of the session, also of one that failed; tells what lies where, and what
    went wrong."""
    kept: KeptSession | None = options.kept
    if kept is None:
        return {}, None
    try:
        return {"kept": kept.save(options.original_prompt)}, None
    except SaveError as error:
        return {"kept": None}, error


def start_options(options: argparse.Namespace) -> StartOptions:
    """The params that the options ask for."""
    width, height = options.size or (None, None)
    found: StartOptions = {
        "width": width,
        "height": height,
        "num_blocks": options.blocks,
        "num_denoising_steps": options.steps,
        "seed": options.seed,
        "start_frame": options.start_picture,
        "strength": options.strength,
        "loras": at_start(options.lora),
        "prompt_switch": options.prompt_switch,
        "mid_block_prompts": options.mid_block_prompts or None,
    }
    if options.clip is not None:
        found |= {"webcam_mode": True, "input": options.clip.policy}
        found["num_blocks"] = options.blocks or ENDLESS
    if not options.plain:
        found |= {"events": True, "fmt": "msgpack"}
    if options.sinks and not options.plain:
        found["fps"] = options.fps  # no faster than they are shown
    return found


async def _stream(
    options: argparse.Namespace,
    address: str,
    tally: Tally,
    recorder: Recorder,
    feed: Feed | None,
    played: dict[str, Any],
) -> None:
    line = ProgressLine(tally, sys.stderr)
    tally.latency = partial(latency_of, options.sinks, feed)
    for text in options.said:
        line.say(text)
    if feed is not None:
        feed.on_unusable = lambda one: line.say(f"left out: {one}")

    def on_event(event: Event) -> None:
        if feed is not None:
            feed.saw_event(event)
        tally.saw_event(event)
        if isinstance(event, Reconnecting | Reconnected):
            line.say(connection_text(event))
        elif isinstance(event, Warned) and event.request_id is None and options.typed:
            line.say(f"warning: {event.reason}")
        line.draw(tally.prompts[-1] if tally.prompts else "")

    playing: Playing | None = None
    try:
        async with recorder, _connection(options, address, on_event) as session:
            tally.begin()
            playing = session.play_parts(
                Playing(
                    session,
                    options.parts,
                    start_options(options),
                    blocks=options.blocks,
                    on_change=tally.saw_change,
                    on_shown=partial(_tell_of_shown, line),
                    takes=None if feed is None else feed.takes,
                    journal=session.journal,
                )
            )
            tally.prompts.append(playing.text)
            with (
                _telling_what_waits(recorder, line),
                _telling_of([options.clip, *options.sinks, *options.outputs], line),
                _fed(feed, session, playing),
            ):
                async with _typed(options, session, playing, feed, line) as recording:
                    async for frame in playing:
                        if feed is not None:
                            frame = feed.timed(frame)
                        tally.saw_frame(frame)
                        await recorder.write(frame, playing.text)
                        await recording.write(frame, playing.text)
                        line.say_failures(recorder.failures)
                        line.draw(playing.text)
            if feed is not None:
                bounded = bool(options.frames or options.blocks or options.played)
                feed.check(bounded=bounded)
    finally:
        line.clear()
        if playing is not None:
            tally.unsent = [str(cue) for cue in playing.waiting]
            if options.played is not None:
                played |= played_as_dict(options, playing)
                for text in notes_on(options.played, playing):
                    line.say(text)
        line.say_failures(recorder.failures[1:])  # the first one is the command's own error


@contextlib.asynccontextmanager
async def _typed(
    options: argparse.Namespace,
    session: Session,
    playing: Playing,
    feed: Feed | None,
    line: ProgressLine,
) -> AsyncIterator[Recording]:
    """Do what is typed meanwhile; gives what records frames beside the outputs."""
    beside, sound = options.outputs, options.sound
    async with Recording(options.fps, beside, line.say, sound) as recording:
        options.recorded = recording.savers
        steering = Steering(
            session=session,
            playing=playing,
            journal=options.journal or Journal(),
            recording=recording,
            source=options.clip,
            feed=feed,
            say=line.say,
            timeline_name=options.save_timeline,
            original_prompt=options.original_prompt,
        )
        async with steered_by(steering, line, options.typed):
            yield recording


def _tell_of_shown(line: ProgressLine, change: Change) -> None:
    if change.sent_at is not None:
        line.say(shown_text(change))


def _connection(options: argparse.Namespace, address: str, on_event: OnEvent) -> connect:
    return connect(
        address,
        key=options.key,
        token=options.token,
        secret=options.secret,
        token_url=options.token_url,
        allow_plaintext=options.allow_plaintext,
        on_event=on_event,
        reconnect=_reconnects(options),
        journal=options.journal,
    )


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


@contextlib.contextmanager
def _telling_of(those: Sequence[object], line: ProgressLine) -> Iterator[None]:
    """Of a live source or sink that it goes away and comes back; of a pipe, how it is read."""
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        loop.call_soon_threadsafe(line.say, text)

    for one in those:
        if isinstance(one, LiveSource | Sink | PipeSaver | DeviceSaver):
            one.on_said = tell
    yield


def _reconnects(options: argparse.Namespace) -> bool:
    """As asked; else where the other side may come back. A worker of one's own does not."""
    if options.clip is not None and options.clip.policy == "all":
        return False  # what was sent is gone with the connection
    if options.reconnect is None:
        return bool(options.url or options.fal)
    return bool(options.reconnect)


@contextlib.contextmanager
def _fed(feed: Feed | None, session: Session, playing: Playing) -> Iterator[None]:
    """Feed the clip meanwhile. Its failures show in the session, which raises them too."""
    if feed is None:
        yield
        return

    async def feed_it() -> None:
        await playing.begun.wait()
        await feed.run(session)

    task = asyncio.create_task(feed_it())
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
