"""The counts of a settled block: a change that makes one grow has to say so here.

Launches and bytes are of eager mode on the meta device; what is allowed is one part in a thousand,
for torch's own changes from one version to the next.
"""

import json
from functools import cache

import pytest
import torch

from framewire.worker.backends.wan_memory import _TENSORS_OF_A_DECODE
from framewire.worker.bench.engine import count as counting
from framewire.worker.bench.engine.count import BlockCount, count_block
from framewire.worker.bench.engine.counting import Counter
from framewire.worker.bench.engine.workload import Workload
from framewire.worker.cli import main
from framewire.worker.engine.network.transformer import block_forward
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import FRAMES_PER_LATENT, PRESETS, Preset
from framewire.worker.engine.random_weights import (
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_STREAMDIFFUSIONV2,
)
from framewire.worker.plan.cards import MODELS

KREA, SELF_FORCING, LONGLIVE, STREAMDIFFUSION = (
    "krea-realtime-14b",
    "self-forcing-1.3b",
    "longlive-1.3b",
    "streamdiffusionv2-1.3b",
)
COUNTS = {
    KREA: {
        "encode": (2.718, 307, 16.7),
        "context": (129.237, 3118, 385.6),
        "denoise": (598.965, 12721, 1572.6),
        "decode": (40.650, 1532, 323.1),
        "between passes": (0.0, 15, 0.02),
    },
    SELF_FORCING: {
        "context": (39.125, 2349, 89.1),
        "denoise": (161.627, 9581, 365.8),
        "decode": (40.650, 1529, 323.0),
        "between passes": (0.0, 30, 0.03),
    },
    LONGLIVE: {  # its sink's keys are turned on with every block
        "context": (27.421, 2349, 89.1),
        "denoise": (113.178, 9581, 365.8),
        "decode": (40.650, 1529, 323.0),
        "between passes": (0.0, 258, 11.3),
    },
    STREAMDIFFUSION: {
        "encode": (5.272, 365, 38.8),
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
        LONGLIVE: (2.84, 3.88, 1.89),
        STREAMDIFFUSION: (2.84, 1.13, 1.24),
    }[name]
    assert gigabytes["transformer, weights"] == pytest.approx(weights, rel=0.01)
    owner = "KV cache, shared" if name == KREA else "KV cache, a stream"
    assert gigabytes[owner] == pytest.approx(cache, rel=0.01)
    assert gigabytes["decoder state, a stream"] == pytest.approx(decoder, rel=0.01)
    assert ("encoder state, a stream" in gigabytes) == (name == STREAMDIFFUSION)


@pytest.mark.parametrize("name", PRESETS)
def test_plans_reckon_with_what_is_counted(name: str) -> None:
    """`framewire-worker plan` has the sums in a table, so that it needs no torch."""
    model, block = MODELS[name], count(name)
    own = [size for owner, size in block.memory.items() if owner.endswith("a stream")]
    if name == KREA:  # it takes live pictures too, though it is counted without
        own.append(1_120_000_000)
    stays = sum(size for owner, size in block.memory.items() if "a stream" not in owner)
    stays -= sum(size for owner, size in block.memory.items() if owner.endswith(", beside"))
    peak = max(work.peak for work in block.stages.values())
    assert model.frames == block.frames
    assert model.tflop == pytest.approx(block.flops / 1e12, rel=0.005)
    assert model.traffic == pytest.approx(block.traffic / 1e9, rel=0.005)
    assert model.gb == pytest.approx((stays + peak) / 1e9, rel=0.01)
    assert model.gb_a_stream == pytest.approx(sum(own) / 1e9, rel=0.01)


def test_the_room_that_is_kept_for_decoding_is_what_it_takes(
    counted: tuple[str, BlockCount],
) -> None:
    """At its peak, counted; passes over a block take less, and may run beside it."""
    name, block = counted
    preset = PRESETS[name]
    width, height = (512, 512) if preset.follows_input else (preset.width, preset.height)
    decoding = FRAMES_PER_LATENT * _TENSORS_OF_A_DECODE * 96 * 2 * width * height
    assert decoding == pytest.approx(block.stages["decode"].peak, rel=0.03)


@pytest.mark.parametrize(
    ("preset", "ranks"), [(TINY_RANDOM, 1), (TINY_SELF_FORCING, 2), (TINY_STREAMDIFFUSIONV2, 1)]
)
def test_a_layer_counted_once_for_all_of_its_shapes_counts_as_if_each_were_looked_at(
    preset: Preset, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Workload(64, 64, 2, live=preset.follows_input, context=5)

    def counted() -> BlockCount:
        return count_block(preset, work.params(preset), live=work.live, ranks=ranks)

    once = counted()
    monkeypatch.setattr(counting, "unseen", block_forward)
    monkeypatch.setattr(counting, "CountedOnce", lambda counter: block_forward)
    assert once == counted()


@pytest.mark.parametrize("fused", [False, True])
def test_a_live_adapter_adds_its_two_thin_products_to_every_linear_layer(fused: bool) -> None:
    """Fused or not: 2 x tokens x rank x (inputs + outputs) in each of a pass."""
    params, rank, options = (
        Workload(64, 64, 4).params(TINY_RANDOM),
        8,
        EngineOptions(fuse_qkv=fused),
    )
    plain = count_block(TINY_RANDOM, params, options)
    adapted = count_block(TINY_RANDOM, params, options, lora_rank=rank)
    dims, tokens, passes = TINY_RANDOM.dims, 3 * 4 * 4, 4
    widths = 6 * 2 * dims.dim + 2 * (dims.dim + dims.ffn_dim)  # without the text's keys and values
    added = passes * dims.layers * 2 * tokens * rank * widths
    assert adapted.stages["denoise"].flops - plain.stages["denoise"].flops == added
    assert adapted.stages["decode"] == plain.stages["decode"]
    text = 2 * 2 * dims.dim
    assert adapted.memory["live adapter"] >= 2 * dims.layers * rank * (widths + text)
    assert "live adapter" not in plain.memory


def test_a_rank_is_for_counting_and_for_one_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "engine", "--preset", "tiny-random", "--lora-rank", "8"]
    assert main(command) == 2 and "for --count only" in capsys.readouterr().err
    assert main([*command, "--count", "--num-gpus", "2"]) == 2
    assert "merged" in capsys.readouterr().err
    assert main([*command, "--count", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["lora_rank"] == 8 and report["memory_gb"]["live adapter"] >= 0


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
    """Of 4 each does a quarter and holds so much, of Self-Forcing's 2 a half; what it sends is said."""
    alone = count(name)
    for ranks in (2, 4) if name == SELF_FORCING else (4,):
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


@pytest.mark.parametrize("peak", ["nan", "0", "-1", "inf", "fast"])
def test_a_card_without_a_speed_is_refused(peak: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "engine", "--preset", "tiny-random", "--count", "--peak", peak])
    assert f"--peak: '{peak}': expected a number above 0" in capsys.readouterr().err


def test_views_and_empty_memory_are_no_launches_and_what_is_freed_does_not_count() -> None:
    with Counter() as counter, counter.stage("a"):
        x = torch.empty(1000, device="meta", dtype=torch.uint8)
        y = x[:500] + 1
        del y
        x.view(10, 100).t().copy_(x.view(100, 10))
    work = counter.stages["a"]
    assert (work.launches, work.peak) == (2, 1500)
    assert work.traffic == 500 + 500 + 1000 + 1000
