"""The hub's token goes to the hub alone: seen from both servers, on the way that the command goes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers.stand_in_hub import StandInHub, hub_serving

from framewire.worker.models.catalogue import catalogue
from framewire.worker.models.hub_access import is_private, origin

PRESET = "self-forcing-1.3b"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def files() -> dict[str, bytes]:
    """A preset's files, each a few bytes of its own."""
    wanted = catalogue()[PRESET].wanted()
    return {f"{file.repo}/{file.path}": file.path.encode() for file in wanted}


@pytest.fixture
def storage(files: dict[str, bytes]) -> Iterator[StandInHub]:
    with hub_serving(StandInHub(files)) as serving:
        yield serving


@pytest.fixture
def hub(files: dict[str, bytes], storage: StandInHub) -> Iterator[StandInHub]:
    with hub_serving(StandInHub(files, storage=storage.url)) as serving:
        yield serving


def pulled(home: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", "pull", PRESET, *options],
        env=ours | {"HF_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_token_of_the_environment_is_never_sent_to_storage(
    hub: StandInHub, storage: StandInHub, tmp_path: Path
) -> None:
    """The command as people run it, HF_TOKEN set and the hub redirecting large files."""
    done = pulled(tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert "Bearer hf_secret" in hub.tokens
    assert storage.tokens and set(storage.tokens) == {None}


def test_the_stored_login_is_never_sent_to_storage(
    hub: StandInHub, storage: StandInHub, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hf_stored")
    done = pulled(tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "Bearer hf_stored" in hub.tokens
    assert storage.tokens and set(storage.tokens) == {None}


def test_a_hub_on_this_machine_is_reached_without_the_proxy(
    hub: StandInHub, tmp_path: Path
) -> None:
    """The proxy would see the token; this one could not even answer."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), NOWHERE)
    done = pulled(tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret", no_proxy="", **proxies)
    assert done.returncode == 0, done.stderr


def test_a_token_that_no_header_can_carry_is_one_line(hub: StandInHub, tmp_path: Path) -> None:
    done = pulled(tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN="hf_“secret”")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the token has a character that no header can carry" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("allowed", [False, True])
def test_a_hub_without_tls_sees_the_token_only_where_that_is_allowed(
    tmp_path: Path, allowed: bool
) -> None:
    """Its requests go through a proxy here, which sees what the network would."""
    with hub_serving(StandInHub()) as proxy:
        done = pulled(
            tmp_path,
            *(["--allow-plaintext"] if allowed else []),
            HF_ENDPOINT="http://hub.example",
            HF_TOKEN="hf_secret",
            http_proxy=proxy.url,
        )
    assert done.returncode == 1
    assert proxy.tokens
    assert ("Bearer hf_secret" in proxy.tokens) == allowed
    assert ("the token is not sent there" in done.stderr) != allowed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://hub.co/a", "https://hub.co:443/b", True),
        ("https://hub.co/a", "http://hub.co/a", False),
        ("https://hub.co/a", "https://hub.co:8443/a", False),
        ("https://hub.co/a", "https://cdn.hub.co/a", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://hub.co", True),
        ("http://127.0.0.1:80", True),
        ("http://[::1]:80", True),
        ("http://hub.co", False),
        ("http://localhost.example", False),
    ],
)
def test_only_tls_and_loopback_are_private(url: str, private: bool) -> None:
    assert is_private(url) is private
