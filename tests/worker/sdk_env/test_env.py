"""`framewire-worker env`: what it prints, where, and what it says of a worker that is not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers.worker_server import command

KEY = "id:a key that nobody should read"


def env(*options: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", "env", *options],
        env={
            "PATH": "",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "HOME": str(home),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def printed(*options: str, home: Path, **variables: str) -> dict[str, str]:
    done = env("--json", *options, home=home, **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_hosts_follow_the_workers_own_settings(tmp_path: Path) -> None:
    """From the same variables and options, also before it has ever been started."""
    assert printed(home=tmp_path)["FAL_RUN_HOST"] == "127.0.0.1:8000"
    assert printed(home=tmp_path, FRAMEWIRE_PORT="9001")["FAL_RUN_HOST"] == "127.0.0.1:9001"
    found = printed("--host", "::", "--port", "9002", home=tmp_path, FRAMEWIRE_PORT="9001")
    assert found["FAL_QUEUE_RUN_HOST"] == "[::1]:9002/queue"
    assert found["FAL_PROXY_URL"] == "https://[::1]:9002/api/fal"
    assert Path(found["SSL_CERT_FILE"]).is_relative_to(tmp_path)


def test_lines_for_eval_stand_alone_on_standard_output(tmp_path: Path) -> None:
    """Hints go to the terminal: a shell may take no comments."""
    done = env(home=tmp_path)
    assert done.returncode == 0
    assert all(line.startswith("export ") for line in done.stdout.splitlines())
    assert "point_at()" in done.stderr and "proxyUrl" in done.stderr


def test_a_key_is_named_but_not_shown_unless_asked_for(tmp_path: Path) -> None:
    done = env(home=tmp_path, FRAMEWIRE_KEY=KEY)
    assert KEY not in done.stdout + done.stderr
    assert 'export FAL_KEY="$FRAMEWIRE_KEY"' in done.stdout
    assert "FAL_KEY" not in printed(home=tmp_path, FRAMEWIRE_KEY=KEY)
    assert printed("--show-key", home=tmp_path, FRAMEWIRE_KEY=KEY)["FAL_KEY"] == KEY
    assert f"export FAL_KEY='{KEY}'" in env("--show-key", home=tmp_path, FRAMEWIRE_KEY=KEY).stdout


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (("--port", "0"), {}, "give its --port"),
        ((), {"FRAMEWIRE_PORT": "x"}, "FRAMEWIRE_PORT: expected int"),
        (("--ssl-certfile", "/nowhere/c.pem"), {}, "No such file"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_printed_for_eval(
    tmp_path: Path, options: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    done = env(*options, home=tmp_path, **variables)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr


async def test_it_says_whether_a_worker_answers_there(tmp_path: Path) -> None:
    """Nobody, one without TLS, one with another certificate; and nothing where all is well."""
    async with command("--self-signed", HOME=str(tmp_path)) as worker:
        port = worker.url.split(":")[2].split("/")[0]
        assert worker.url.startswith("wss://")
        assert worker.said["certificate"] == str(
            tmp_path / ".local/state/framewire/self-signed/certificate.pem"
        )
        done = env("--json", "--port", port, home=tmp_path)
        assert done.stderr == ""
        other = env("--json", "--port", port, home=tmp_path / "other")
        assert "another certificate" in other.stderr and other.returncode == 0
    assert "nothing answers" in env("--json", "--port", port, home=tmp_path).stderr
    async with command() as worker:
        port = worker.url.split(":")[2].split("/")[0]
        assert "speaks no TLS" in env("--port", port, home=tmp_path).stderr


async def test_self_signed_and_a_certificate_of_ones_own_are_not_both_served(
    tmp_path: Path,
) -> None:
    with pytest.raises(AssertionError, match="choose one of them"):
        async with command("--self-signed", "--ssl-certfile", "c", "--ssl-keyfile", "k"):
            pass


async def test_a_state_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssertionError, match=r"no certificate could be kept: .*Not a directory"):
        async with command("--self-signed", "--state-folder", str(tmp_path / "file")):
            pass


@pytest.mark.parametrize("arguments", [["serve", "--self-signed", "--port", "0"], ["env"]])
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, arguments: list[str]) -> None:
    absent = tmp_path / "cryptography"
    absent.mkdir()
    (absent / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named cryptography', name='cryptography')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", *arguments],
        env={
            "PATH": "",
            "PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)]),
            "HOME": str(tmp_path),
            "FRAMEWIRE_BACKEND": "testcard",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "needs cryptography: pip install 'framewire[tls]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_says_where_its_certificate_lies_and_which_env_is_its_own(tmp_path: Path) -> None:
    """Whichever of the two commands is the first in a new folder."""
    state = tmp_path / "state of mine"
    assert env("--state-folder", str(state), home=tmp_path).returncode == 0
    serve = ["serve", "--self-signed", "--port", "0", "--until-stdin-ends"]
    with subprocess.Popen(
        [sys.executable, "-m", "framewire.worker.cli", *serve, "--state-folder", str(state)],
        env={
            "PATH": "",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "FRAMEWIRE_BACKEND": "testcard",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stdout is not None and worker.stdin is not None
        said = [next(worker.stdout)]
        while "framewire-worker env" not in said[-1]:
            said.append(next(worker.stdout))
        worker.stdin.close()
        assert worker.wait(60) == 0
    port = said[0].split(" at wss://127.0.0.1:")[1].split("/")[0]
    assert any(line.endswith(f" {state / 'self-signed' / 'certificate.pem'}\n") for line in said)
    assert f"framewire-worker env --port {port} --state-folder '{state}'" in said[-1]
