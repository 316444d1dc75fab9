"""Three testcard workers behind HAProxy, as examples/cluster/haproxy.cfg has them, on free ports."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
from support.required import absent
from support.servers.ports import free_port

PATIENCE = 60.0
NAMES = ("w1", "w2", "w3")
SHIPPED = Path(__file__).parents[3] / "examples/cluster/haproxy.cfg"
SECRET = "a secret that all workers of this cluster share"
KEY = "key-id:key-secret"
OPTIONS = ("--backend", "testcard", "--max-sessions", "2", "--queue", "0", "--grace", "600")


class Cluster:
    """The processes. `log` is what HAProxy has said."""

    def __init__(self, folder: Path, options: tuple[str, ...], environ: dict[str, str]) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in NAMES}
        self.port, self.states_port = free_port(), free_port()
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self._options = options
        self._environ = {
            "PATH": "",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "HOME": str(folder),
        } | environ
        self._haproxy: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, name: str) -> str:
        """One worker's own address."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def balancer_pid(self) -> int:
        assert self._haproxy is not None
        return self._haproxy.pid

    @property
    def log(self) -> str:
        return (self.folder / "haproxy.log").read_text()

    def launch(self, name: str) -> None:
        """Begin to start a worker, on its port."""
        if name in self.workers:
            self._forget(self.workers[name])
        words = (sys.executable, "-m", "framewire.worker.cli", "serve", "--json", *self._options)
        with self._log_of(name) as log:
            self.workers[name] = subprocess.Popen(
                [*words, "--name", name, "--port", str(self.ports[name])],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environ,
            )

    def listens(self, name: str) -> None:
        """Wait until it does."""
        said = self.workers[name].stdout
        assert said is not None and json.loads(said.readline())["url"]

    def end(self, name: str, number: signal.Signals) -> None:
        self.workers[name].send_signal(number)

    def balance(self) -> None:
        """Start HAProxy, with the ports of this cluster in the place of the shipped ones."""
        ports = {"*:8000": self.port}
        for shipped, name in zip((8001, 8002, 8003), NAMES, strict=True):
            ports[f"127.0.0.1:{shipped}"] = self.ports[name]
        states = f"\nlisten states\n    bind 127.0.0.1:{self.states_port}\n    stats uri /states\n"
        with self._log_of("haproxy") as log:
            self._haproxy = started_haproxy(SHIPPED, ports, self.folder, log, more=states)
        self.until_healthy()

    def until_healthy(self) -> None:
        """Wait until HAProxy answers; there is nothing to be told by."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if httpx.get(f"{self.http}/health", trust_env=False, timeout=60).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def until_all_have_room(self) -> None:
        """Wait until every worker has, and HAProxy knows it."""
        deadline = time.monotonic() + PATIENCE
        with httpx.Client(trust_env=False, timeout=60) as http:
            for name in NAMES:
                while http.get(f"{self.of(name)}/health").json()["sessions"]:
                    assert time.monotonic() < deadline, name
                    time.sleep(0.02)
            while True:
                states = http.get(f"http://127.0.0.1:{self.states_port}/states;csv").text
                rows = [line.split(",") for line in states.splitlines()]
                up = [row[1] for row in rows if row[0] == "workers_with_room" and "UP" in row]
                if {*NAMES} <= {*up}:
                    return
                assert time.monotonic() < deadline, states
                time.sleep(0.05)

    def close(self) -> None:
        for process in (*self.workers.values(), self._haproxy):
            if process is not None:
                self._forget(process)

    def _forget(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _log_of(self, name: str) -> IO[str]:
        return (self.folder / f"{name}.log").open("a")


def started_haproxy(
    shipped: Path, ports: Mapping[str, int], folder: Path, log: IO[str], *, more: str = ""
) -> "subprocess.Popen[str]":
    """HAProxy by a configuration that is shipped, with these ports in the place of its own."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        absent("haproxy", "HAProxy is not installed")
    text = shipped.read_text()
    for address, port in ports.items():
        assert address in text
        text = text.replace(address, f"127.0.0.1:{port}")
    config = folder / "haproxy.cfg"
    config.write_text(text + more)
    command = [found, "-db", "-f", str(config)]
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)


async def check_passes(url: str) -> None:
    """`framewire check` of a worker that knows the secret finds nothing wrong."""
    check = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", "check", url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "FRAMEWIRE_SECRET": SECRET},
    )
    said = (await asyncio.wait_for(check.communicate(), 100))[0].decode()
    assert check.returncode == 0 and " 0 FAIL" in said, said


def allowed(seconds: float) -> float:
    """`seconds` on a machine that has time, more on one that has not."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def cluster(folder: Path, *options: str, **environ: str) -> Iterator[Cluster]:
    """The three of them behind HAProxy, all listening; each knows the secret and the key."""
    auth = ("--auth", "jwt", "--forwarded-allow-ips", "127.0.0.1")
    secrets = {"FRAMEWIRE_SECRET": SECRET, "FRAMEWIRE_KEY": KEY}
    made = Cluster(folder, (*OPTIONS, *auth, *options), secrets | environ)
    try:
        for name in NAMES:
            made.launch(name)
        for name in NAMES:
            made.listens(name)
        made.balance()
        yield made
    finally:
        made.close()
