"""What is pulled with an adapter: PEFT keeps a part of its strength in a file beside the weights."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers.stand_in_hub import StandInHub, hub_serving

from framewire.worker.models import own
from framewire.worker.models.adapters import chosen_adapters, published_adapter
from framewire.worker.models.catalogue import catalogue, published
from framewire.worker.models.pull import Hub, pull
from framewire.worker.models.setup import ModelSetup

REPO = "someone/foxes"
CONFIG = b'{"lora_alpha": 6, "r": 2}'
OTHERS = b'{"lora_alpha": 60, "r": 2}'
OURS = """\
name = "our-fox-1.3b"
base = "longlive-1.3b"
notice = "made from films \\u001b]0;of ours"
[files]
adapter = "someone/foxes/fox/adapter_model.safetensors"
"""


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    with hub_serving(StandInHub()) as serving:
        yield serving


def run(
    home: Path, hub: StandInHub, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    kept = {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": hub.url}
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", *arguments],
        env=os.environ | kept | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("folder", ["", "fox/"])
def test_an_adapter_is_served_as_strong_as_the_config_beside_it_on_the_hub_says(
    hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """That of its own folder; pulled by the command, and found by `--lora` with the same name."""
    pytest.importorskip("diffusers")
    from safetensors.torch import save
    from support.engines.adapters_made import in_style, random_pairs
    from support.engines.tiny_engine import TINY

    from framewire.worker.engine.lora.adapter import read_adapter

    name = f"{REPO}/{folder}adapter_model.safetensors"
    hub.files = {f"{REPO}/adapter_config.json": OTHERS, f"{REPO}/owl/adapter_config.json": OTHERS}
    hub.files[f"{REPO}/{folder}adapter_config.json"] = CONFIG
    hub.files[name] = save(in_style(random_pairs(alpha=1.0), "diffusers"))
    done = run(tmp_path, hub, "pull", name)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    (chosen,) = chosen_adapters(ModelSetup(lora=(name,)), "tiny")
    assert read_adapter(chosen.path, TINY).pairs["blocks.0.attn1.to_q"].gain == 3.0


def test_a_pulled_config_is_not_asked_for_again(hub: StandInHub, tmp_path: Path) -> None:
    name = f"{REPO}/adapter_model.safetensors"
    hub.files = {name: b"weights", f"{REPO}/adapter_config.json": CONFIG}
    assert run(tmp_path, hub, "pull", name).returncode == 0
    asked = len(hub.tokens)
    again = run(tmp_path, hub, "pull", name)
    assert again.returncode == 0 and len(hub.tokens) == asked
    assert f"{name}: 1 of 1 files are here already" in again.stderr


def test_an_adapter_that_has_no_config_is_pulled_without(hub: StandInHub, tmp_path: Path) -> None:
    """And needs no network once it is here; that its config could not be asked for is told."""
    name = f"{REPO}/fox.safetensors"
    hub.files = {name: b"weights"}
    done = run(tmp_path, hub, "pull", name)
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == f"{name}: complete"
    assert "adapter_config" not in done.stderr
    offline = run(tmp_path, hub, "pull", name, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert f"{REPO}/adapter_config.json: not asked for" in offline.stderr


def test_a_config_that_cannot_be_had_stops_the_pull(hub: StandInHub, tmp_path: Path) -> None:
    """For without it the adapter would be served too strong or too weak, and nobody would know."""
    name = f"{REPO}/adapter_model.safetensors"
    hub.files = {name: b"weights", f"{REPO}/adapter_config.json": CONFIG}
    hub.gated = {f"{REPO}/adapter_config.json"}
    done = run(tmp_path, hub, "pull", name)
    assert done.returncode == 1
    assert f"framewire-worker pull: {REPO}/adapter_config.json: gated" in done.stderr
    adapter = published_adapter(name)
    assert adapter is not None and adapter.local(tmp_path / "hf" / "hub") is None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "fox.toml").write_text(OURS, encoding="utf-8")
    own.add(tmp_path / "fox.toml")
    return tmp_path


def test_the_adapter_of_a_users_own_model_is_pulled_with_its_config(
    hub: StandInHub, home: Path
) -> None:
    (adapter,) = [file for file in catalogue()["our-fox-1.3b"].files if file.part == "adapter"]
    hub.files = {
        f"{REPO}/fox/adapter_model.safetensors": b"weights",
        f"{REPO}/fox/adapter_config.json": CONFIG,
    }
    pull(catalogue()["our-fox-1.3b"], [adapter], Hub(endpoint=hub.url, cache_dir=home, token=False))
    here = adapter.local(home)
    assert here is not None
    assert here.with_name("adapter_config.json").read_bytes() == CONFIG


def test_of_a_published_model_no_config_is_asked_for() -> None:
    """What it is made of is in the catalogue."""
    files = [file for entry in published().values() for file in entry.files]
    assert files and [file for file in files if file.config is not None] == []


def test_what_is_said_of_somebody_elses_model_moves_no_terminal(
    hub: StandInHub, home: Path
) -> None:
    """Its notice is said before anything is pulled."""
    done = run(home, hub, "pull", "our-fox-1.3b")
    assert done.returncode == 1
    assert r"our-fox-1.3b: made from films \u001b]0;of ours" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("command", [("pull", "our-fox-1.3b"), ("models",), ("serve",)])
def test_what_a_spoilt_model_of_ones_own_says_moves_no_terminal(
    hub: StandInHub, home: Path, command: tuple[str, ...]
) -> None:
    kept = own.folder() / "our-fox-1.3b.json"
    kept.rename(kept.with_name("our\x1b]0;fox.json"))
    kept.with_name("our\x1b]0;fox.json").write_text("{", encoding="utf-8")
    done = run(home, hub, *command)
    assert done.returncode == 2
    assert r"our\u001b]0;fox" in done.stderr and "\x1b" not in done.stderr
    removed = run(home, hub, "models", "remove", "our\x1b]0;fox")
    assert removed.returncode == 0 and "\x1b" not in removed.stderr
