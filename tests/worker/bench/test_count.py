"""The counts of a settled block: a change that makes one grow has to say so here.

Launches and bytes are of eager mode on the meta device; what is allowed is one part in a thousand,
for torch's own changes from one version to the next.
"""

import json
from functools import cache

import pytest
import torch

from framewire.worker.backends.wan_memory import _TENSORS_OF_A_DECODE
from framewire.worker.bench.engine.count import BlockCount, count_block
from framewire.worker.bench.engine.counting import Counter
from framewire.worker.bench.engine.measure import Workload
from framewire.worker.cli import main
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import PRESETS
from framewire.worker.engine.random_weights import TINY_RANDOM

KREA, SELF_FORCING, STREAMDIFFUSION = (
    "krea-realtime-14b",
    "self-forcing-1.3b",
    "streamdiffusionv2-1.3b",
)
COUNTS = {
    KREA: {
        "encode": (2.718, 307, 16.7),
        "context": (129.237, 3118, 385.6),
        "denoise": (598.965, 12721, 1572.6),
        "decode": (40.650, 552, 300.0),
        "between passes": (0.0, 15, 0.02),
    },
    SELF_FORCING: {
        "context": (39.125, 2349, 89.1),
        "denoise": (161.627, 9581, 365.8),
        "decode": (40.650, 549, 300.0),
        "between passes": (0.0, 30, 0.03),
    },
    STREAMDIFFUSION: {
        "encode": (5.272, 364, 38.8),
        "denoise": (7.635, 4783, 40.0),
        "decode": (8.881, 513, 70.5),
        "between passes": (0.0, 180, 0.6),
    },
}
"""TFLOP, launches and GB moved besides products, at the size each was trained for."""


@cache
def count(name: str, ranks: int = 1) -> BlockCount:
    preset = PRESETS[name]
    size = (512, 512) if preset.follows_input else (preset.width, preset.height)
    work = Workload(*size, preset.num_denoising_steps, live=preset.follows_input)
    return count_block(preset, work.params(preset), live=work.live, ranks=ranks)


@pytest.fixture(scope="module", params=COUNTS)
def counted(request: pytest.FixtureRequest) -> tuple[str, BlockCount]:
    return request.param, count(request.param)


def test_a_block_calls_for_no_more_than_it_did(counted: tuple[str, BlockCount]) -> None:
    name, block = counted
    assert set(block.stages) == set(COUNTS[name])
    for stage, (tflop, launches, gigabytes) in COUNTS[name].items():
        work = block.stages[stage]
        assert work.flops / 1e12 == pytest.approx(tflop, rel=1e-3), stage
        assert work.launches <= launches * 1.001, stage
        assert work.traffic / 1e9 <= gigabytes * 1.01 + 0.01, stage


def test_memory_is_told_by_its_owner(counted: tuple[str, BlockCount]) -> None:
    """Of bfloat16 weights, and the caches and states of one stream."""
    name, block = counted
    gigabytes = {owner: size / 1e9 for owner, size in block.memory.items()}
    assert gigabytes["text encoder, weights"] == pytest.approx(11.36, rel=0.01)
    weights, cache, decoder = {
        KREA: (28.58, 7.67, 1.89),
        SELF_FORCING: (2.84, 6.04, 1.89),
        STREAMDIFFUSION: (2.84, 1.13, 1.24),
    }[name]
    assert gigabytes["transformer, weights"] == pytest.approx(weights, rel=0.01)
    owner = "KV cache, shared" if name == KREA else "KV cache, a stream"
    assert gigabytes[owner] == pytest.approx(cache, rel=0.01)
    assert gigabytes["decoder state, a stream"] == pytest.approx(decoder, rel=0.01)
    assert ("encoder state, a stream" in gigabytes) == (name == STREAMDIFFUSION)


def test_the_room_that_is_kept_for_decoding_is_what_it_takes(
    counted: tuple[str, BlockCount],
) -> None:
    """At its peak, counted; passes over a block take less, and may run beside it."""
    name, block = counted
    preset = PRESETS[name]
    width, height = (512, 512) if preset.follows_input else (preset.width, preset.height)
    frames = min(preset.block_frames, 3) * 4
    decoding = frames * _TENSORS_OF_A_DECODE * 96 * 2 * width * height
    assert decoding == pytest.approx(block.stages["decode"].peak, rel=0.03)


def test_options_that_leave_work_out_are_seen_in_the_counts() -> None:
    """The pass at 0 is a quarter of what denoising takes."""
    params = Workload(64, 64, 4).params(TINY_RANDOM)
    whole = count_block(TINY_RANDOM, params)
    less = count_block(TINY_RANDOM, params, EngineOptions(skip_zero=True, decoder="taehv"))
    denoise = whole.stages["denoise"].flops
    assert less.stages["denoise"].flops == pytest.approx(denoise * 3 / 4)
    assert "TAEHV, weights" in less.memory and "TAEHV, weights" not in whole.memory


@pytest.mark.parametrize("name", COUNTS)
def test_ranks_share_the_transformers_work_and_its_cache(name: str) -> None:
    """Of 2 and 4 each does a half and a quarter, and holds so much; what it sends is said."""
    alone = count(name)
    for ranks in (2, 4):
        shared = count(name, ranks)
        for stage in {"context", "denoise"} & set(alone.stages):
            share = shared.stages[stage].flops * ranks
            assert share == pytest.approx(alone.stages[stage].flops, rel=0.05)
            assert shared.stages[stage].sent > 0 == alone.stages[stage].sent
        assert shared.stages["decode"].flops == alone.stages["decode"].flops
        (owner,) = (owner for owner in alone.memory if owner.startswith("KV cache"))
        assert shared.memory[owner] * ranks == alone.memory[owner]


def test_what_a_rank_sends_are_new_tokens_and_not_the_window() -> None:
    """Queries, keys, values and results of a pass, of all heads but its own, in bfloat16."""
    preset = PRESETS[SELF_FORCING]
    tokens, passes, dims = 3 * 1560, 5, preset.dims
    own = tokens * dims.dim * 2 / 2  # bytes of one of the four in a layer
    a_pass = dims.layers * 4 * own / 2  # of which the other rank is sent its half
    assert count(SELF_FORCING, 2).sent == pytest.approx(passes * a_pass, rel=0.02)


def test_the_command_needs_no_weights_and_gives_the_ceilings_of_a_card(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["bench", "engine", "--preset", "tiny-random", "--count"]
    assert main([*command, "--json", "--peak", "100", "--bandwidth", "1000"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["stages"]) == {"encode", "context", "denoise", "decode", "between passes"}
    whole = sum(stage["tflop"] for stage in report["stages"].values())
    assert report["tflop"] == pytest.approx(whole, abs=1e-5)
    ceilings = report["ceilings"]
    assert (ceilings["tflops"], ceilings["bandwidth_gb"]) == (100, 1000)
    assert ceilings["fps_eager"] < ceilings["fps_compiled"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "| stage | TFLOP | launches, eager |" in out and "H200, as seen" in out


def test_views_and_empty_memory_are_no_launches_and_what_is_freed_does_not_count() -> None:
    with Counter() as counter, counter.stage("a"):
        x = torch.empty(1000, device="meta", dtype=torch.uint8)
        y = x[:500] + 1
        del y
        x.view(10, 100).t().copy_(x.view(100, 10))
    work = counter.stages["a"]
    assert (work.launches, work.peak) == (2, 1500)
    assert work.traffic == 500 + 500 + 1000 + 1000
