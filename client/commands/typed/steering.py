"""What typed lines do to the stream, and what is said of it. Knows no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framewire.client.commands.kept_session import clip_at
from framewire.client.errors import FramewireError, SaveError, in_words
from framewire.client.live_input import Source
from framewire.client.live_input.feed import Feed
from framewire.client.session import Session
from framewire.client.timeline.formats.writing import save_timeline
from framewire.client.timeline.journal import Journal
from framewire.client.timeline.playing import Playing
from framewire.client.timeline.shown import Change

from .line import Typed, help_text, parse_line, without_secrets
from .new_file import claim, release
from .recording import Recording

_ENDED = "the stream has ended"


@dataclass
class Steering:
    """One stream, steered by lines.

    Attributes:
        say: told of what became of each line.
        timeline_name: of `--save-timeline`, which is written at the end.
    """

    session: Session
    playing: Playing
    journal: Journal
    recording: Recording
    source: Source | None
    feed: Feed | None
    say: Callable[[str], None]
    timeline_name: str | None = None
    original_prompt: str | None = None

    async def take(self, line: str) -> None:
        """Do what a line asks for. Whatever is wrong with it is said."""
        try:
            typed = parse_line(line)
            if typed is not None:
                await self._do(typed)
        except FramewireError as error:
            self.say(without_secrets(f"{error.reason}{error.hint and f'; {error.hint}'}"))
        except ValueError as error:
            self.say(without_secrets(str(error)))
        except (OSError, RuntimeError) as error:  # of a path that cannot be looked at
            self.say(without_secrets(in_words(error)))

    async def _do(self, typed: Typed) -> None:
        match typed.word:
            case "prompt" | "strength" | "lora":
                await self._steer(typed)
            case "seed" | "reset":
                await self._reset(typed)
            case "record" if typed.name:
                self.recording.begin(typed.name)
            case "record":
                await self.recording.end()
            case "save":
                await self._save(self._place_of(typed.name))
            case "end" if self.feed is not None:
                self.say("ending with the pictures that were sent")
                await self.feed.stop()
            case "end":
                ends = await self.session.end()
                self.say("ending after the block under way" if ends else _ENDED)
            case _:
                self.say(help_text())

    async def _steer(self, typed: Typed) -> None:
        values = dict(typed.values)
        if typed.word == "strength" and self.source is None:
            raise ValueError("/strength: how far frames may leave the input, and there is none")
        if typed.word == "lora":
            self._check_adapters(values["loras"])
        if typed.word == "prompt":
            if values["prompt"] == self.playing.asked_text:
                raise ValueError("that is the prompt already")
            values["interp_steps"] = 1
        change = await self.playing.steer(_label(typed), **values)
        if change is None:
            self.say(_ENDED)
        elif not self.playing.tells:
            self.say(f"{change.when}: sent; this server does not tell which frame shows it")

    def _check_adapters(self, asked: Mapping[str, float]) -> None:
        """Refuse names of no adapter whose strength a stream may change, where the worker has told
        what its frames depend on: else nothing of it would ever be shown."""
        started = self.playing.started
        if not started or not started[-1].made_with:
            return
        said = str(started[-1].made_with.get("loras", ""))
        known = [one.partition("=")[0] for one in said.split(", ") if one.endswith(" live")]
        there_are = f"only {', '.join(known)}" if known else "none that a stream can change"
        for name in asked.keys() - set(known):
            raise ValueError(f"/lora {name}: this worker has no such adapter, {there_are}")

    async def _reset(self, typed: Typed) -> None:
        if self.source is not None and self.source.policy == "all":
            raise ValueError(f"/{typed.word}: a clip is shown once, and some of it is used up")
        if self.playing.is_planned:
            raise ValueError(f"/{typed.word}: changes are planned, which a reset would drop")
        change = await self.playing.reset(_label(typed), **typed.values)
        if not self.playing.tells:
            self.say(f"{change.when}: sent; this server does not tell which frame shows it")

    def _place_of(self, name: str) -> Path:
        path, at_the_end = Path(name).expanduser(), self.timeline_name
        if at_the_end is not None and Path(at_the_end).absolute() == path.absolute():
            raise SaveError(f"{path} is what --save-timeline writes at the end")
        return path

    async def _save(self, path: Path) -> None:
        if self.source is not None and self.source.path is not None and self.journal.clip is None:
            self.journal.clip = await asyncio.to_thread(clip_at, self.source.path)
        self.journal.original_prompt = self.original_prompt
        timeline, frames = self.journal.timeline(), self.journal.frames
        if not timeline.pieces:
            raise SaveError("no frame has come yet, so there is nothing to keep")
        claim(path)
        try:
            await asyncio.to_thread(save_timeline, timeline, path)
        except FramewireError:
            release(path)
            raise
        self.say(f"kept {path} ({frames} frames); play it with --timeline {path}")
        for note in timeline.notes:
            self.say(note)


def shown_text(change: Change) -> str:
    """That a frame is here which shows a change made by hand first."""
    since = "" if change.block is None else f", from block {change.block} on"
    return f"{change.when}: shown after {change.seconds or 0.0:.2f} s{since}"


def _label(typed: Typed) -> str:
    """What a change is called in what is said of it."""
    match typed.word:
        case "prompt":
            return f"“{typed.values['prompt']}”"
        case "lora":
            return ", ".join(f"lora {name} {x:g}" for name, x in typed.values["loras"].items())
        case "reset":
            return "reset"
    return f"{typed.word} {typed.values[typed.word]:g}"
