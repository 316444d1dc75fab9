"""The pytest plugin, in test runs of other people's: a worker in ten lines, and nothing unasked."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = "framewire.worker.testing.plugin"
STAND_IN = """
import json, os, urllib.request
import pytest
from framewire.client import fal_sdk
import fal_client

@pytest.fixture(params=["framewire_worker", "framewire_worker_tls"])
def worker(request, monkeypatch):
    found = request.getfixturevalue(request.param)
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    with fal_sdk.pointed_at(found.http):
        yield found

def test_a_pipeline_against_the_stand_in(worker):
    client = fal_client.SyncClient()
    app = "fal-ai/krea-wan-14b"
    size = {"width": 64, "height": 64, "num_blocks": 1}
    made = client.run(app + "/text-to-video", arguments={"prompt": "a fox", **size})
    assert made["video"]["url"].startswith(worker.http + "/clips/")
    with client.realtime(app) as connection:
        assert connection.recv() == {"status": "ready"}
        connection.send({"prompt": "a fox", **size})
        assert connection.recv()["image"].startswith(b"\\xff\\xd8")
    client._client.close()
"""


def outcome(
    folder: Path, text: str, *options: str, plugin: bool = True
) -> subprocess.CompletedProcess[str]:
    """Another project's run of pytest, with warnings as errors and no other plugin."""
    (folder / "test_it.py").write_text(text)
    options = (*(["-p", PLUGIN] if plugin else []), "-W", "error", "-q", *options)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_stand_in_for_fal_is_a_fixture_away_with_tls_and_without(tmp_path: Path) -> None:
    done = outcome(tmp_path, STAND_IN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_one_worker_serves_a_whole_session_and_ends_with_it(tmp_path: Path) -> None:
    text = """
import pathlib
def test_one(framewire_worker):
    assert framewire_worker.certificate is None
    assert framewire_worker.url == f"ws://{framewire_worker.host}/ws"
    pathlib.Path("host").write_text(framewire_worker.host)
def test_two(framewire_worker):
    assert pathlib.Path("host").read_text() == framewire_worker.host
"""
    done = outcome(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
    host, port = (tmp_path / "host").read_text().split(":")
    with pytest.raises(OSError):
        socket.create_connection((host, int(port)), 5)


def test_who_does_not_ask_for_it_pays_nothing_for_it(tmp_path: Path) -> None:
    """Installed, it is loaded by every run of pytest: it brings in nothing but itself."""
    text = """
import sys
def test_nothing():
    import json
    print("LOADED", json.dumps(sorted(sys.modules)))
"""
    with_it = outcome(tmp_path, text, "-s")
    without = outcome(tmp_path, text, "-s", plugin=False)
    loaded = [
        set(json.loads(run.stdout.split("LOADED ")[1].split("\n")[0].rstrip(".")))
        for run in (with_it, without)
    ]
    brought = {name for name in loaded[0] - loaded[1] if not name.startswith("_")}
    assert brought <= {
        "framewire",
        "framewire.worker",
        "framewire.worker.testing",
        PLUGIN,
    }, sorted(brought)


def test_settings_for_another_worker_do_not_reach_the_fixtures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWIRE_AUTH", "jwt")
    monkeypatch.setenv("FRAMEWIRE_PORT", "1")
    monkeypatch.setenv("FRAMEWIRE_BACKEND", "wan")
    done = outcome(tmp_path, "def test_it(framewire_worker): assert framewire_worker.url")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    text = """
import pytest
from framewire.worker.testing.running import WorkerStartError, running_worker
def test_it():
    with pytest.raises(WorkerStartError, match="no setting|unrecognized arguments"):
        with running_worker("--no-such-option"):
            pass
"""
    done = outcome(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
