"""What `--out` and `--contact-sheet` ask for: savers, each with a file of its own.

Knows which files the options read; no output may be one of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.live_input import Source
from framewire.client.live_output import Sink, Target, target_of
from framewire.client.live_output.sink import LATENCY
from framewire.client.live_output.target import KINDS
from framewire.client.savers import ContactSheetSaver, Saver, refuse_shared_files, saver_for
from framewire.client.savers.decoding import load_av
from framewire.client.savers.distinct import Output

from .kept_session import KeptSession


def savers_of(options: argparse.Namespace, kept: KeptSession | None = None) -> list[Saver]:
    """What will save the frames. Nothing is touched.

    Args:
        kept: what else is written.

    Raises:
        SaveError: no such kind of file, or one file twice.
    """
    named = [
        (f"--out {name}", saver_for(name, fps=options.fps))
        for name in options.out
        if target_of(name) is None
    ]
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
        target = target_of(name)
        if target is None:
            continue
        load_av(Path(target.shown))
        if any(target.place == other.place for other in targets):
            raise SaveError(f"--out {target.shown} is there twice")
        target.refuse_to_destroy(_inputs(options))
        targets.append(target)
    if options.latency is not None and not targets:
        raise SaveError("--latency is of live sinks, and there is none", hint=f"use {KINDS}")
    latency = LATENCY if options.latency is None else options.latency
    return [Sink(target, fps=options.fps, latency=latency) for target in targets]


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
