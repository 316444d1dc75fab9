"""`framewire-worker serve --fal` as a process: what it needs, loads, says and keeps to itself."""

import json
import subprocess
import sys

import httpx
import pytest
from support.servers.hosted_server import APP, FAL_KEY
from support.servers.worker_server import PATIENCE, command

PATH = ":".join(filter(None, sys.path))
HEAVY = {"numpy", "PIL", "simplejpeg", "torch", "av", "diffusers", "transformers"}


def test_it_loads_neither_torch_nor_numpy() -> None:
    """So it runs where a model never could, on a small machine in front of fal."""
    code = (
        "import json, sys\n"
        "from framewire.protocol import AppId\n"
        "from framewire.worker.cli import main\n"
        "from framewire.worker.config import Config\n"
        "from framewire.worker.server.hosted.app import create_hosted_app\n"
        "from framewire.worker.server.hosted.fal import Fal\n"
        "from framewire.worker.server.on_uvicorn.server import Server\n"
        "from framewire.worker.server.page_address import page_address\n"
        f"config = Config.load({{'FAL_KEY': 'a:b'}}, fal={APP!r})\n"
        "create_hosted_app(config, Fal(AppId.parse(config.fal), config.fal_key))\n"
        "print(json.dumps([name.split('.')[0] for name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert set(json.loads(done.stdout)) & HEAVY == set()


async def test_it_says_where_the_page_is_and_never_the_key() -> None:
    async with command("--fal", APP, "--log-level", "debug", FAL_KEY=FAL_KEY) as running:
        said = running.said
        assert said["fal"] == APP and said["auth"] == "none"
        assert said["socket"] == f"wss://fal.run/{APP}/ws"
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            assert (await client.get(f"{said['page']}health")).json()["fal"] == APP
        running.signal()
        assert await running.exit_code() == 0
        assert FAL_KEY not in json.dumps(said)
    log = "".join(running.log)
    assert FAL_KEY not in log and "the-key-secret" not in log
    assert '"fal_key": "set"' in log


@pytest.mark.parametrize(
    ("options", "env", "says"),
    [
        ([], {}, "set FAL_KEY"),
        ([], {"FAL_KEY": "Key a:b"}, "bare"),
        ([], {"FAL_KEY_ID": "a"}, "set FAL_KEY"),
        (["--auth", "platform"], {"FAL_KEY": "a:b"}, "--auth jwt"),
        (["--host", "0.0.0.0"], {"FAL_KEY": "a:b"}, "auth is none"),
    ],
)
def test_what_it_lacks_is_said_before_it_listens(
    options: list[str], env: dict[str, str], says: str
) -> None:
    done = refused(["--fal", APP, *options], env)
    assert done.returncode == 2 and says in done.stderr
    assert done.stderr.count("\n") == 1 and "a:b" not in done.stderr


def test_what_is_no_app_is_said_with_an_example() -> None:
    done = refused(["--fal", "krea-wan-14b"], {"FAL_KEY": "a:b"})
    assert done.returncode == 2 and "like fal-ai/krea-wan-14b" in done.stderr


def refused(options: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", "serve", "--port", "0", *options],
        env={"PATH": "", "PYTHONPATH": PATH} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
