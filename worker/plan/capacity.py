"""How many streams one replica holds, a GPU each, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .bench_file import Bench, EngineBench
from .cards import CARDS, KEPT_FREE, MODELS, Model, frames_a_second, streams_that_fit


class CapacityError(ValueError):
    """It cannot be known, or none fits; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Streams that one replica holds at once.

    Attributes:
        streams: at least 1.
        fps: frames a second that it makes for all of them together, if that is known.
        because: where the number is from, and what bounds it.
        warnings: what the reader has to know before he trusts it.
    """

    streams: int
    fps: float | None
    because: str
    warnings: tuple[str, ...] = ()


def given(streams: int) -> Capacity:
    """As the caller says."""
    return Capacity(streams, None, "--sessions-per-gpu")


def estimated(preset: str, gpu: str, rate: float) -> Capacity:
    """By the documented defaults, for streams of `rate` frames a second.

    Raises:
        CapacityError: there are none for this preset, or it doesn't fit the card.
    """
    card, model = CARDS[gpu], _model(preset)
    room = streams_that_fit(card, model.gb, model.gb_a_stream)
    if room < 1:
        need = model.gb + model.gb_a_stream
        raise CapacityError(
            f"{preset} needs {need:.0f} GB with one stream, and one {card.name} has {card.gb:g}: "
            "take a larger one, or measure with options that save memory and give --bench"
        )
    fps = frames_a_second(model, card)
    because = (
        "the documented defaults: arithmetic, not measured "
        f"(about {fps:.1f} frames a second on one {card.name}, memory for {room})"
    )
    streams, slow = _within(fps, rate)
    return Capacity(min(streams, room), fps, because, slow)


def measured(bench: Bench, preset: str, gpu: str | None, rate: float) -> Capacity:
    """By a bench file; of what it has, the narrowest counts.

    Raises:
        CapacityError: it has a report on serving alone, and there are no defaults for the rest; or
            what was measured doesn't fit the card.
    """
    if bench.engine is not None:
        found = _by_engine(bench.path, bench.engine, preset, gpu, rate)
    elif gpu is not None:
        found = estimated(preset, gpu, rate)
    else:
        raise CapacityError(
            f"{bench.path}: reports on serving, not on {preset}; add lines of bench engine, "
            "or say --gpu or --sessions-per-gpu"
        )
    if bench.serving is None:
        return found
    served, _ = _within(bench.serving.fps, rate)
    because = (
        f"{found.because}; {bench.path}: a process serves {bench.serving.fps:.0f} frames a second"
    )
    if served >= found.streams:
        return replace(found, because=because)
    warning = "the CPU of the machine that bench serving ran on bounds it: a replica's may differ"
    return Capacity(served, found.fps, because, (*found.warnings, warning))


def _by_engine(
    path: str, engine: EngineBench, preset: str, gpu: str | None, rate: float
) -> Capacity:
    card, model = CARDS[gpu] if gpu else None, MODELS.get(preset)
    streams, slow = _within(engine.fps, rate)
    because = f"{path}, measured: {engine.variant}, {engine.fps:.1f} frames a second"
    because += f" on {engine.device or 'a CPU'}"
    warnings = [*slow]
    is_other = card is not None and card.name.removesuffix(" 80 GB") not in engine.device
    if card is not None and is_other:
        warnings.append(
            f"{path} was measured on {engine.device or 'a CPU'}, and what is priced is {card.name}"
        )
        if engine.memory_gb and engine.memory_gb > card.gb * (1 - KEPT_FREE):
            raise CapacityError(
                f"{path}: {engine.variant} took {engine.memory_gb:.0f} GB with one stream, and one "
                f"{card.name} has {card.gb:g}: take a larger one, or a --variant that saves memory"
            )
    if card is not None and model is not None and engine.memory_gb:
        room = 1 + streams_that_fit(card, engine.memory_gb, model.gb_a_stream)
        because += f", memory for {room}"
        streams = min(streams, room)
    return Capacity(streams, engine.fps, because, tuple(warnings))


def _model(preset: str) -> Model:
    if preset not in MODELS:
        raise CapacityError(
            f"there is no documented default for {preset}: measure it (framewire-worker bench engine "
            f"--preset {preset} --json > bench.json) and give --bench, or say --sessions-per-gpu"
        )
    return MODELS[preset]


def _within(fps: float, rate: float) -> tuple[int, tuple[str, ...]]:
    """How many streams of this rate, one at least, and a warning where even that one is slower."""
    streams = int(fps / rate)
    if streams:
        return streams, ()
    slow = (
        f"a stream alone gets {fps:.1f} frames a second of the {rate:g} it plays at: no number of "
        "replicas mends that; take a faster GPU, speed options, or --fps"
    )
    return 1, (slow,)
