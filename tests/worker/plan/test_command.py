"""`framewire-worker plan`: its numbers agree with each other, and it says where each is from."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from framewire.worker.cli import main
from framewire.worker.models.catalogue import published
from framewire.worker.plan.cards import CARDS, MODELS
from framewire.worker.plan.prices import PRICES
from framewire.worker.plan.queueing import Lines

KREA = ("--preset", "krea-realtime-14b", "--gpu", "h100")
DOCUMENTED = ("--viewers", "500", *KREA, "--session-minutes", "6", "--wait", "5s")


def plan(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["plan", *options]) == 0
    return capsys.readouterr().out


def planned(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan(capsys, *options, "--json"))
    return found


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What is said of options that cannot be had, in one sentence without a traceback."""
    try:
        code: object = main(["plan", *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_the_documented_command_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    out = plan(capsys, *DOCUMENTED)
    assert "replicas: 535" in out and "5,000 come an hour" in out
    assert "sessions a GPU: 1, by the documented defaults: arithmetic, not measured" in out
    for word in ("Poisson", "exponentially", "one queue", "at once in the mean"):
        assert word in out
    offers = [price for price in PRICES if price.gpu == "h100"]
    assert out.count(" a GPU and hour: $") == len(offers)
    for price in offers:
        assert f"{price.provider}, ${price.usd:.2f}" in out
        assert f"({price.source}, read {price.read}" in out
    assert "a cold start" in out and "keep-alive (5 min)" in out
    assert "warning: a stream alone gets 6.1 frames a second of the 16" in out


def test_its_numbers_follow_from_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, *DOCUMENTED, "--sessions-per-gpu", "3", "--cold-start", "90s")
    assert found["sessions_a_gpu"] == 3 and found["places"] == 3 * found["replicas"]
    line = Lines(500.0, 360.0).before(found["places"])
    assert (
        line.longer_than(5.0) <= 0.05 < Lines(500.0, 360.0).before(line.places - 3).longer_than(5)
    )
    assert found["wait_s_mean"] == line.mean_wait and found["wait_s"] <= 5.0
    assert found["arrivals_an_hour"] == 5000
    for cost in found["costs"]:
        assert cost["usd_an_hour"] == pytest.approx(cost["usd_a_gpu_hour"] * found["replicas"])
        assert cost["usd_a_session"] == pytest.approx(cost["usd_an_hour"] / 5000)
        assert cost["usd_a_start"] == pytest.approx(cost["usd_a_gpu_hour"] * (90 + 300) / 3600)
        assert cost["usd_alone_and_cold"] == pytest.approx(cost["usd_a_gpu_hour"] * 750 / 3600)
    prices = [cost["usd_a_gpu_hour"] for cost in found["costs"]]
    assert prices == sorted(prices) and len(prices) > 2
    (here,) = [one for one in found["around"] if one["replicas"] == found["replicas"]]
    assert here["wait_s"] == found["wait_s"]
    waits = [one["wait_s_mean"] for one in found["around"]]
    assert waits == sorted(waits, reverse=True) and len(waits) > 5


def test_a_price_of_ones_own_takes_the_place_of_the_published(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (cost,) = planned(capsys, *DOCUMENTED, "--price", "2")["costs"]
    assert (cost["provider"], cost["usd_an_hour"]) == ("yours", 2 * 535)


def test_replicas_that_one_has_are_looked_at_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = planned(capsys, *DOCUMENTED, "--replicas", "510")
    assert found["replicas"] == 510 and found["wait_s"] > 5
    said = refused(capsys, *DOCUMENTED, "--replicas", "500")
    assert "hold 500 viewers, and 500 come" in said and "501 at least" in said


def engine_row(**other: Any) -> dict[str, Any]:
    """As `bench engine --json` prints it, what isn't read left out."""
    machine = {"device": "NVIDIA H100 80GB HBM3", "capability": [9, 0]}
    row = {"variant": "faithful", "preset": "krea-realtime-14b", "fps": 34.0, "memory_gb": 61.0}
    return row | {"load_s": 40.0, "warm_up_s": 5.0, "machine": machine} | other


def written(folder: Path, *rows: object) -> tuple[str, str]:
    path = folder / "bench.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "--bench", str(path)


def test_a_bench_of_the_engine_says_how_many_sessions_and_how_long_a_start_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    faster = engine_row(variant="together", fps=66.0)
    broken = {"variant": "fp8", "preset": "krea-realtime-14b", "error": "not here"}
    bench = written(tmp_path, engine_row(), broken, faster)
    found = planned(capsys, *DOCUMENTED, *bench)
    assert found["sessions_a_gpu"] == 2 and found["cold_start_s"] == 45 and not found["warnings"]
    assert "bench.json, measured: faithful, 34.0 frames" in found["sessions_a_gpu_from"]
    together = planned(capsys, *DOCUMENTED, *bench, "--variant", "together")
    assert together["sessions_a_gpu"] == 4
    full = written(tmp_path, engine_row(fps=340.0))
    assert planned(capsys, *DOCUMENTED, *full)["sessions_a_gpu"] == 5, "memory bounds it"
    elsewhere = written(tmp_path, engine_row(machine={"device": "x86_64", "capability": None}))
    (warning,) = planned(capsys, *DOCUMENTED, *elsewhere)["warnings"]
    assert "was measured on a CPU, and what is priced is H100" in warning


def test_a_card_that_cannot_hold_what_was_measured_on_another_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bench = written(tmp_path, engine_row(memory_gb=58.0))
    said = refused(capsys, *DOCUMENTED, "--gpu", "rtx-4090", *bench)
    assert "faithful took 58 GB with one stream, and one RTX 4090 has 24" in said


def test_real_benches_are_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The engine's of this machine, as it prints it."""
    bench = ["bench", "engine", "--preset", "tiny", "--size", "64x64", "--blocks", "1", "--json"]
    assert main(bench) == 0
    path = tmp_path / "bench.json"
    path.write_text(capsys.readouterr().out)
    own = ("--preset", "tiny", "--price", "0.2", "--bench", str(path))
    found = planned(capsys, "--viewers", "40", *own, "--fps", "0.001")
    assert found["sessions_a_gpu"] > 100 and "on a CPU" in found["sessions_a_gpu_from"]
    assert found["cold_start_s"] > 0


def test_a_bench_of_serving_bounds_what_a_gpu_would_hold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [{"way": "plain", "fps": 900.0, "sessions": 1}]
    rows += [{"way": "framewire", "fps": fps, "sessions": 16} for fps in (33.0, 32.0)]
    bench = written(tmp_path, engine_row(fps=64.0), {"bench": "serving", "rows": rows})
    found = planned(capsys, *DOCUMENTED, *bench)
    assert found["sessions_a_gpu"] == 2
    assert "a process serves 33 frames a second" in found["sessions_a_gpu_from"]
    assert ["bench serving" in warning for warning in found["warnings"]] == [True]
    alone = written(tmp_path, {"bench": "serving", "rows": rows})
    assert "the documented defaults" in planned(capsys, *DOCUMENTED, *alone)["sessions_a_gpu_from"]
    own = ("--viewers", "4", "--preset", "tiny", "--price", "1")
    assert "add lines of bench engine" in refused(capsys, *own, *alone)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([engine_row(preset="tiny")], "measures tiny, not krea-realtime-14b"),
        ([engine_row(variant="fp8")], "--variant can be fp8"),
        ([{"variant": "faithful", "preset": "krea-realtime-14b", "ceilings": {}}], "--count"),
        ([engine_row(fps="fast")], "not as bench prints it"),
        ([engine_row(fps=0)], "not as bench prints it"),
        ([{"any": 1}], "no line of a bench"),
        (["text"], "line 1: no JSON object"),
        ([], "no line of a bench"),
    ],
)
def test_a_file_that_is_no_bench_of_this_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rows: list[object], said: str
) -> None:
    assert said in refused(capsys, *DOCUMENTED, *written(tmp_path, *rows))


def test_a_file_that_cannot_be_read_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "none.json: cannot be read" in refused(
        capsys, *DOCUMENTED, "--bench", str(tmp_path / "none.json")
    )
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refused(capsys, *DOCUMENTED, "--bench", str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--wait", "5"), "with its unit, such as 500ms, 5s, 2m"),
        (("--wait", "-5s"), "expected"),
        (("--wait", "5 parsecs"), "with its unit"),
        (("--viewers", "0"), "how many watch at once"),
        (("--viewers", "nan"), "how many watch at once"),
        (("--viewers", "2e6"), "up to 1,000,000"),
        (("--gpu", "h900"), "a100, b200, b300, h100, h200"),
        (("--preset", "sora"), "choose one of krea-realtime-14b"),
        (("--session-minutes", "0"), "above 0"),
        (("--session-minutes", "1e308"), "up to 1,000,000"),
        (("--wait", "9" * 400 + "s"), "expected a time"),
        (("--percent", "100"), "100 is never reached"),
        (("--sessions-per-gpu", "0"), "whole number from 1"),
        (("--price", "-1"), "above 0"),
        (("--price", "1e-320"), "above 0"),
        (("--session-minutes", "1e-320"), "above 0"),
        (("--fps", "1e-320"), "above 0"),
        (("--viewers", "1e-320"), "how many watch at once"),
        (("--viewers", "1e9"), "up to 1,000,000"),
        (("--gpu", "rtx-4090"), "needs 54 GB with one stream, and one RTX 4090 has 24"),
        (("--preset", "tiny"), "no documented default for tiny"),
        (("--out", "/nowhere/plan.png"), "No such file or directory"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert said in refused(capsys, *DOCUMENTED, *options)


def test_without_a_gpu_it_says_what_else_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    bare = ("--viewers", "40", "--preset", "tiny")
    assert "--bench or --sessions-per-gpu" in refused(capsys, *bare)
    assert "--price" in refused(capsys, *bare, "--sessions-per-gpu", "3")
    found = planned(capsys, *bare, "--sessions-per-gpu", "3", "--price", "0.2")
    assert found["sessions_a_gpu_from"] == "--sessions-per-gpu"
    assert found["gpu"] is None and found["replicas"] > 13


def test_the_picture_shows_both_curves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Drawn in the plan's two colours; what it looks like is for people to judge."""
    path = tmp_path / "plan.png"
    assert f"drawn: {path}" in plan(capsys, *DOCUMENTED, "--out", str(path))
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (1280, 960))
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x00, 0x72, 0xB2), (0x56, 0xB4, 0xE9), (0xD5, 0x5E, 0x00)} <= colours


def test_without_matplotlib_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "framewire.worker.plan.plot", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "plan.png"
    assert "pip install 'framewire[plot]'" in refused(capsys, *DOCUMENTED, "--out", str(path))
    assert not path.exists()
    assert "replicas" in plan(capsys, *DOCUMENTED)


@pytest.mark.parametrize("name", MODELS)
def test_the_card_that_a_model_is_said_to_need_holds_what_is_counted(name: str) -> None:
    """Of one stream with the model's own decoder; of several cards the first, before the first."""
    model, entry = MODELS[name], published()[name]
    (one, *_), (first, *_) = (
        re.findall(r"(\d+) GB", said) for said in (entry.needs, entry.several)
    )
    assert model.gb + model.gb_a_stream < int(one)
    assert model.gb - 4 < int(first) < model.gb + 2


def test_every_gpu_that_can_be_named_has_a_dated_price() -> None:
    assert {price.gpu for price in PRICES} == set(CARDS)
    for price in PRICES:
        assert price.usd > 0 and price.source.startswith("https://")
        assert price.read.startswith("2026-") and len(price.read) == 10
