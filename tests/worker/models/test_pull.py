"""Weights from a stand-in hub: progress, resuming, checking, and trouble in plain words."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from support.servers.stand_in_hub import StandInHub, hub_serving

from framewire.worker.engine.preset import PRESETS, SELF_FORCING_1_3B
from framewire.worker.models.adapters import published_adapter
from framewire.worker.models.catalogue import Entry, catalogue, parse, published
from framewire.worker.models.overview import describe
from framewire.worker.models.pull import Hub, PullError, pull

REPO = "someone/small-model"
WEIGHTS = f"{REPO}/weights.safetensors"
BIG = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    with hub_serving(StandInHub({WEIGHTS: BIG, f"{REPO}/vae/config.json": b"{}"})) as serving:
        yield serving


def entry(**weights: Any) -> Entry:
    files = [
        {"part": "transformer", "path": "weights.safetensors", "bytes": len(BIG), **weights},
        {"part": "vae", "path": "vae/config.json", "bytes": 2},
    ]
    table = {"title": "Small", "licence": "MIT", "needs": "nothing"}
    table["files"] = [file | {"repo": REPO, "licence": "MIT"} for file in files]
    return parse({"small": table})["small"]


class Bar:
    """What a progress bar was told: where it began, how far it came, what it is of."""

    bars: list["Bar"]

    def __init__(self, *args: Any, total: int, initial: int = 0, **options: Any) -> None:
        self.total, self.initial, self.done = total, initial, initial
        self.bars.append(self)

    def update(self, count: float = 1) -> None:
        self.done += int(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def settings(hub: StandInHub, cache: Path, **more: Any) -> Hub:
    return Hub(endpoint=hub.url, cache_dir=cache, token=False, **more)  # type: ignore[arg-type]


def test_pulled_files_lie_in_the_hubs_cache_and_are_not_pulled_twice(
    hub: StandInHub, tmp_path: Path
) -> None:
    small, said = entry(), []
    Bar.bars = []
    pull(small, small.files, settings(hub, tmp_path, progress=Bar), said.append)
    assert small.paths("transformer", tmp_path)[0].read_bytes() == BIG
    assert describe(small, SELF_FORCING_1_3B, tmp_path)["complete"]
    assert [(bar.initial, bar.done, bar.total) for bar in Bar.bars] == [
        (0, len(BIG), len(BIG)),
        (0, 2, 2),
    ]
    assert said[-1] == "small: complete"
    asked = len(hub.tokens)
    pull(small, small.files, settings(hub, tmp_path), said.append)
    assert len(hub.tokens) == asked
    assert "2 of 2 files are here already" in said[-2]


def test_a_download_that_is_cut_goes_on_from_where_it_was(hub: StandInHub, tmp_path: Path) -> None:
    hub.cut_after[WEIGHTS] = [300_000]
    small = entry()
    pull(small, small.files, settings(hub, tmp_path))
    starts = [first for name, first in hub.ranges if name == WEIGHTS]
    assert len(starts) == 2
    assert 0 < starts[1] <= 300_000
    assert small.paths("transformer", tmp_path)[0].read_bytes() == BIG


def test_a_download_that_was_stopped_goes_on_in_the_next_run(
    hub: StandInHub, tmp_path: Path
) -> None:
    class Stopping(Bar):
        def update(self, count: float = 1) -> None:
            if self.done + int(count) > 600_000 and len(self.bars) == 1:
                raise KeyboardInterrupt
            super().update(count)

    Bar.bars = []
    small, said = entry(), []
    with pytest.raises(KeyboardInterrupt):
        pull(small, small.files, settings(hub, tmp_path, progress=Stopping))
    assert not describe(small, SELF_FORCING_1_3B, tmp_path)["complete"]
    pull(small, small.files, settings(hub, tmp_path, progress=Stopping), said.append)
    starts = [first for name, first in hub.ranges if name == WEIGHTS]
    assert starts == [0, 600_000]
    assert Bar.bars[1].initial == 600_000
    assert any("resumed at" in line for line in said)
    assert small.paths("transformer", tmp_path)[0].read_bytes() == BIG


@pytest.mark.parametrize("whose", ["hub", "catalogue"])
def test_bytes_with_a_wrong_checksum_are_refused_deleted_and_never_counted_as_here(
    hub: StandInHub, tmp_path: Path, whose: str
) -> None:
    wrong = "ab" * 32
    small = entry(sha256=wrong) if whose == "catalogue" else entry()
    if whose == "hub":
        hub.etags[WEIGHTS] = wrong
    with pytest.raises(PullError, match=r"weights\.safetensors: its SHA-256 is .* abababab"):
        pull(small, small.files, settings(hub, tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 99]
    assert small.missing(cache_dir=tmp_path)


@pytest.mark.parametrize("etag", ["../../../outside", "/outside", "..", ".hidden", "a" * 129])
def test_what_the_hub_calls_a_file_never_leads_out_of_the_cache(
    hub: StandInHub, tmp_path: Path, etag: str
) -> None:
    hub.etags[WEIGHTS] = etag
    small = entry()
    with pytest.raises(PullError, match=r"weights\.safetensors: the hub's hash of it"):
        pull(small, small.files, settings(hub, tmp_path))
    assert "outside" not in [path.name for path in tmp_path.rglob("*")]


def test_a_file_that_ends_early_is_refused(hub: StandInHub, tmp_path: Path) -> None:
    hub.cut_after[WEIGHTS] = [0] * 99
    small = entry()
    with pytest.raises(PullError, match=r"weights\.safetensors: the connection failed"):
        pull(small, small.files, settings(hub, tmp_path))
    assert small.missing(cache_dir=tmp_path)


def test_a_disk_without_room_is_refused_before_the_first_byte(
    hub: StandInHub, tmp_path: Path
) -> None:
    small = entry()
    with pytest.raises(PullError, match=r"1\.0 MB to download, but the disk .* HF_HOME"):
        pull(small, small.files, settings(hub, tmp_path, free_bytes=lambda folder: 1000))
    assert hub.ranges == []


def test_a_disk_that_fills_up_is_named(hub: StandInHub, tmp_path: Path) -> None:
    class Full(Bar):
        def update(self, count: float = 1) -> None:
            raise OSError(28, "No space left on device")

    Bar.bars = []
    small = entry()
    with pytest.raises(PullError, match="the disk is full; make room and pull again"):
        pull(small, small.files, settings(hub, tmp_path, progress=Full))


def test_a_gated_repository_says_where_to_accept_and_takes_a_token(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.gated.add(WEIGHTS)
    small = entry()
    with pytest.raises(
        PullError, match=rf"gated: accept .*huggingface\.co/{REPO} and set HF_TOKEN"
    ):
        pull(small, small.files, settings(hub, tmp_path))
    pull(small, small.files, Hub(endpoint=hub.url, cache_dir=tmp_path, token="hf_good"))
    assert hub.tokens[-1] == "Bearer hf_good"
    assert not small.missing(cache_dir=tmp_path)


def test_a_file_that_is_gone_and_a_hub_that_is_down_are_told_apart(
    hub: StandInHub, tmp_path: Path
) -> None:
    del hub.files[WEIGHTS]
    small = entry()
    with pytest.raises(PullError, match="has no such file any more"):
        pull(small, small.files, settings(hub, tmp_path))
    away = Hub(endpoint="http://127.0.0.1:9", cache_dir=tmp_path)
    with pytest.raises(PullError, match="the connection failed"):
        pull(small, small.files, away)


def test_the_catalogue_names_every_part_its_licence_and_its_size() -> None:
    krea = catalogue()["krea-realtime-14b"]
    parts = {file.part for file in krea.wanted()}
    assert parts == {"transformer", "text_encoder", "tokenizer", "vae"}
    assert {file.part for file in krea.wanted("--decoder taehv")} == parts | {"taehv"}
    assert all(file.licence and file.bytes > 0 for file in krea.files)
    assert 51e9 < sum(file.bytes for file in krea.wanted()) < 53e9


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_published_preset_is_in_the_catalogue_whole(name: str) -> None:
    """With its own transformer and whatever else it runs on; and nothing else is in there."""
    assert set(published()) == set(PRESETS)
    entry = published()[name]
    parts = [file.part for file in entry.files]
    own = {"transformer", "adapter"} if PRESETS[name].adapter_section else {"transformer"}
    assert set(parts) == own | {"text_encoder", "tokenizer", "vae", "taehv"}
    assert parts.count("transformer") == parts.count("vae") == parts.count("taehv") == 1
    repos = {file.repo for file in entry.files if file.part in ("text_encoder", "tokenizer", "vae")}
    size = "14B" if "14b" in name else "1.3B"
    assert repos == {f"Wan-AI/Wan2.1-T2V-{size}-Diffusers"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_lists_what_is_here_and_heeds_hf_home(tmp_path: Path) -> None:
    done = run("models", "--json", HF_HOME=str(tmp_path))
    table = json.load(io.StringIO(done.stdout))
    assert table["krea-realtime-14b"]["complete"] is False
    assert table["krea-realtime-14b"]["licence"] == "Apache-2.0"
    assert all(file["path_here"] is None for file in table["krea-realtime-14b"]["files"])
    text = run("models", "krea-realtime-14b", HF_HOME=str(tmp_path)).stdout
    assert "framewire-worker pull krea-realtime-14b" in text
    assert "missing   28.6 GB  krea/krea-realtime-video" in text and "~" not in text
    assumed = run("models", "causal-forcing-1.3b", HF_HOME=str(tmp_path)).stdout
    assert "missing   ~5.7 GB  zhuhz22/Causal-Forcing" in assumed and "~: assumed" in assumed


def test_an_adapter_is_pulled_by_its_name_on_the_hub_and_found_by_it(
    hub: StandInHub, tmp_path: Path
) -> None:
    """By the command; what the hub does not have is told in one line, and nothing is kept."""
    name = f"{REPO}/weights.safetensors"
    where = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url}
    done = run("pull", name, **where)
    assert done.returncode == 0, done.stderr
    assert f"{name}: complete" in done.stderr
    published_file = published_adapter(name)
    assert published_file is not None
    here = published_file.local(tmp_path / "hub")
    assert here is not None and here.read_bytes() == BIG
    assert f"{name}: 1 of 1 files are here already" in run("pull", name, **where).stderr
    missing = run("pull", f"{REPO}/other.safetensors", **where)
    assert missing.returncode == 1
    assert (
        missing.stderr.strip().splitlines()[-1].startswith(f"framewire-worker pull: {REPO}/other")
    )


def test_the_family_is_shown_at_a_glance(tmp_path: Path) -> None:
    """A line a model with its licence, counts and what is here; and what is not for commerce."""
    lines = run("models", HF_HOME=str(tmp_path)).stdout.splitlines()
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(PRESETS)]}
    assert list(rows) == list(published())
    framewise = re.split(" {2,}", rows["causal-forcing-framewise-2step-1.3b"])
    assert framewise[1:6] == ["Apache-2.0", "28.9 GB", "1, 4", "20", "4, 2"]
    assert framewise[6] == "0 of 13" and framewise[7]
    assert "CC-BY-NC-SA-4.0*" in rows["longlive-1.3b"]
    assert any(line.startswith("* longlive-1.3b: not for commercial use") for line in lines)


def test_the_command_fails_in_one_line_offline(tmp_path: Path) -> None:
    done = run("pull", "krea-realtime-14b", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("framewire-worker pull: krea/krea-real")
    assert "HF_HUB_OFFLINE is set" in done.stderr
