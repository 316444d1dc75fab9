"""Streams that come and go take over caches, and what was recorded on them, from one another."""

from collections.abc import Sequence

import pytest
import torch
from support.engines.live_stream import pictures
from support.engines.tape import Tape
from support.engines.tiny_engine import LONGLIVE, SELF_FORCING, STREAMDIFFUSIONV2, tiny_engine
from torch import Tensor

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

BLOCKS = 9
PRESETS = pytest.mark.parametrize("preset", [SELF_FORCING, LONGLIVE, STREAMDIFFUSIONV2])


def params(preset: Preset, **given: int) -> StreamParams:
    size = {"width": 32, "height": 16, "seed": 5, "kv_cache_num_frames": 3}
    return StreamParams.of(preset, **(size | given))  # type: ignore[arg-type]


def recording(preset: Preset) -> tuple[Engine, Tape]:
    engine, tape = tiny_engine(preset=preset), Tape()
    engine.scratch.graphs = BlockGraphs(tape)
    return engine, tape


def block(stream: Generation) -> Tensor:
    live = stream._preset.motion is not None
    shown = pictures(stream.pictures_needed, level=40 + 10 * stream.block, noise=30)
    return stream.generate_block(shown if live else None)


def in_turn(streams: Sequence[Generation]) -> list[list[Tensor]]:
    made: list[list[Tensor]] = [[] for _ in streams]
    for _ in range(BLOCKS):
        for frames, stream in zip(made, streams, strict=True):
            frames.append(block(stream))
    return made


def equal(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(map(torch.equal, found, wanted))


@PRESETS
def test_streams_that_come_and_go_record_once_a_cache(preset: Preset) -> None:
    """The second stream replays from where the first one's shapes had settled, bit for bit."""
    (plain,) = in_turn([tiny_engine(preset=preset).open("a fox", params(preset))])
    engine, tape = recording(preset)
    for come in range(4):
        (frames,) = in_turn([engine.open("a fox", params(preset))])
        assert equal(frames, plain)
        if come == 0:
            recorded, replayed = tape.recorded, tape.replayed
            assert recorded > 0
    assert tape.recorded == recorded
    assert tape.replayed >= 4 * replayed


@PRESETS
def test_streams_side_by_side_have_a_cache_each_and_later_ones_take_both_over(
    preset: Preset,
) -> None:
    prompts = ("a fox", "a ship")
    alone = [
        in_turn([tiny_engine(preset=preset).open(prompt, params(preset))])[0] for prompt in prompts
    ]
    engine, tape = recording(preset)
    recorded = []
    for _ in range(3):
        streams = [engine.open(prompt, params(preset)) for prompt in prompts]
        first, second = (stream._memory.cache().layers[0][0].data_ptr() for stream in streams)
        assert first != second
        assert all(map(equal, in_turn(streams), alone))
        recorded.append(tape.recorded)
        del streams
    assert recorded[0] == recorded[1] == recorded[2]


@PRESETS
def test_what_an_earlier_stream_wrote_is_never_seen(preset: Preset) -> None:
    """Every number in the cache that is taken over is made NaN: none comes through."""
    (plain,) = in_turn([tiny_engine(preset=preset).open("a fox", params(preset))])
    engine, _ = recording(preset)
    in_turn([engine.open("a ship", params(preset))])
    stream = engine.open("a fox", params(preset))
    stream._memory.cache().fill(torch.nan)
    (frames,) = in_turn([stream])
    assert equal(frames, plain)


@PRESETS
def test_a_reset_stream_records_nothing_of_its_growing_window(preset: Preset) -> None:
    engine, tape = recording(preset)
    stream = engine.open("a fox", params(preset))
    in_turn([stream])
    recorded = tape.recorded
    stream.reset()
    in_turn([stream])
    assert tape.recorded == recorded


def test_another_size_gets_another_cache_and_idle_ones_are_let_go() -> None:
    engine, tape = recording(SELF_FORCING)
    small, large = params(SELF_FORCING), params(SELF_FORCING, width=64)
    in_turn([engine.open("a fox", small)])
    recorded = tape.recorded
    in_turn([engine.open("a fox", large)])
    assert tape.recorded == 2 * recorded
    assert len(engine.scratch.caches._idle) == 1
    in_turn([engine.open("a fox", small)])
    assert tape.recorded == 3 * recorded


def test_a_cache_of_as_many_tokens_in_fewer_and_larger_frames_is_another() -> None:
    """Means of a ring's frames are kept beside it, so the streams that follow must have as many."""
    of_six = params(STREAMDIFFUSIONV2, height=32, kv_cache_num_frames=5)
    of_four = params(STREAMDIFFUSIONV2, height=32, width=48, kv_cache_num_frames=3)

    def made(engine: Engine, given: StreamParams) -> list[Tensor]:
        stream = engine.open("a fox", given)
        assert stream._memory.cache().tokens == 24
        return [stream.generate_block() for _ in range(BLOCKS)]

    plain = [made(tiny_engine(preset=STREAMDIFFUSIONV2), given) for given in (of_six, of_four)]
    engine, _ = recording(STREAMDIFFUSIONV2)
    assert equal(made(engine, of_six), plain[0])
    assert equal(made(engine, of_four), plain[1])


def test_a_stream_that_fails_gives_its_cache_back() -> None:
    engine, _ = recording(SELF_FORCING)
    stream = engine.open("a fox", params(SELF_FORCING))
    with pytest.raises(ValueError, match="expected pictures"):
        stream.generate_block(torch.zeros(1, 16, 32, 3, dtype=torch.uint8))
    assert not engine.scratch.caches._idle
    del stream
    assert len(engine.scratch.caches._idle) == 1


def test_without_graphs_nothing_is_kept_for_later_streams() -> None:
    engine = tiny_engine(preset=SELF_FORCING)
    in_turn([engine.open("a fox", params(SELF_FORCING))])
    assert not engine.scratch.caches._idle
