"""What `--out` and `--contact-sheet` ask for: savers, each with a file of its own.

Knows which files the options read; no output may be one of them.
"""

from __future__ import annotations

import argparse
import os
import stat
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.live_input import Source
from framewire.client.live_output import Sink, Target, target_of
from framewire.client.live_output.sink import LATENCY
from framewire.client.live_output.target import KINDS, pipe_target
from framewire.client.savers import (
    ContactSheetSaver,
    DeviceSaver,
    PipeSaver,
    Saver,
    refuse_shared_files,
    saver_for,
)
from framewire.client.savers.choice import descriptor_of
from framewire.client.savers.decoding import load_av
from framewire.client.savers.distinct import Output
from framewire.client.savers.pipes.forms import JPEG

from .kept_session import KeptSession


def savers_of(options: argparse.Namespace, kept: KeptSession | None = None) -> list[Saver]:
    """What will save the frames. Nothing is touched.

    Args:
        kept: what else is written.

    Raises:
        SaveError: no such kind of file, or one file twice.
    """
    form = options.format or JPEG
    named: list[tuple[str, Saver]] = [
        (f"--out {name}", saver_for(name, fps=options.fps, sound=options.sound, form=form))
        for name in options.out
        if _target(name, options) is None
    ]
    piped = [saver for _, saver in named if isinstance(saver, PipeSaver | DeviceSaver)]
    if (
        options.format
        and not piped
        and not any(sink.target.kind == "pipe" for sink in options.sinks)
    ):
        raise SaveError("--format is of pipes, and there is none", hint="say --out -")
    if options.contact_sheet:
        sheet = saver_for(options.contact_sheet)
        if not isinstance(sheet, ContactSheetSaver):
            raise SaveError(f"a contact sheet is a .png or .jpg, not {options.contact_sheet}")
        named.append((f"--contact-sheet {options.contact_sheet}", sheet))
    outputs: list[tuple[str, Output]] = [*named]
    if kept is not None:
        outputs.append((f"--save-timeline {options.save_timeline}", kept))
    refuse_shared_files(outputs, _inputs(options))
    return [saver for _, saver in named]


def sinks_of(options: argparse.Namespace) -> list[Sink]:
    """What will show the frames live. Nothing is touched.

    Raises:
        SaveError: no such sink, one of them twice, or what it needs is not installed.
    """
    targets: list[Target] = []
    for name in options.out:
        target = _target(name, options)
        if target is None:
            continue
        if target.format != JPEG:
            load_av(Path(target.shown))
        if any(target.place == other.place for other in targets):
            raise SaveError(f"--out {target.shown} is there twice")
        target.refuse_to_destroy(_inputs(options))
        targets.append(target)
    if options.latency is not None and not targets:
        raise SaveError("--latency is of live sinks, and there is none", hint=f"use {KINDS}")
    latency = LATENCY if options.latency is None else options.latency
    return [
        Sink(target, fps=options.fps, latency=latency, sound=options.sound) for target in targets
    ]


def _target(name: str, options: argparse.Namespace) -> Target | None:
    """The live sink that `--out` names: of a live input, an open pipe is one as well.

    Raises:
        SaveError: see `target_of`, `pipe_target`.
    """
    descriptor = descriptor_of(name)
    clip: Source | None = options.clip
    if clip is None or clip.policy == "all" or descriptor is None or _is_file(descriptor):
        return target_of(name)
    return pipe_target(name, descriptor, options.format or JPEG)


def _is_file(descriptor: int) -> bool:
    """Whether it leads into a file, which is to hold each frame once."""
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _inputs(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """The files and folders that the stream reads."""
    found = []
    if options.timeline:
        found.append((f"--timeline {options.timeline}", Path(options.timeline)))
    clip: Source | None = options.clip
    if clip is not None and clip.path is not None:
        found.append((f"--input {options.input}", clip.path))
    if options.start_frame:
        found.append((f"--start-frame {options.start_frame}", Path(options.start_frame)))
    return found
