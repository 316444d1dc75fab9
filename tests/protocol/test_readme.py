"""The protocol document tells the truth: its bytes, keys, codes and limits, and its client runs."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framewire.protocol import (
    CLOSE_CODES,
    Connection,
    ErrorCode,
    Params,
    Ready,
    Role,
    Steer,
    limits,
    messages,
    unpack_map,
)

TEXT = (Path(__file__).parents[2] / "protocol" / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))


def keys_in(section: str) -> set[str]:
    """What the first columns of a section's tables name in code."""
    rows = re.findall(r"^\| (.+?) \|", SECTIONS[section], re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.fixture
def worker_url() -> Iterator[str]:
    """A worker with the test card, in a process of its own."""
    command = [sys.executable, "-m", "framewire.worker.cli", "serve", "--backend", "testcard"]
    with subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def test_the_wire_is_described_in_its_nine_sections() -> None:
    numbered = [heading for heading in SECTIONS if heading[0].isdigit()]
    assert [int(heading.split(".")[0]) for heading in numbered] == list(range(1, 10))


def test_every_key_is_described() -> None:
    aliases = {"noise_scale", "interpolation_steps"}
    assert keys_in("3. Params") == set(Params.model_fields) | aliases
    assert keys_in("6. Steering") == set(Steer.model_fields) | aliases


def test_every_error_and_its_close_code_is_described() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*?\| (\d{4}) \|", SECTIONS["8. Errors"], re.MULTILINE)
    described = set(rows)
    for code in set(ErrorCode) - {ErrorCode.BAD_PARAMS}:
        assert (code.value, str(int(CLOSE_CODES[code]))) in described


def test_every_event_is_described_with_its_keys() -> None:
    section = SECTIONS["9. Events"]
    for event in ("Queued", "Started", "BlockDone", "Steered", "Warned"):
        fields = dict(getattr(messages, event).model_fields)
        (row,) = re.findall(rf"^\| `{fields.pop('type').default}` \|.*$", section, re.MULTILINE)
        assert all(f"`{key}`" in row for key in fields), event


def test_the_limits_are_those_of_the_code() -> None:
    numbers = set(re.findall(r"\d+", SECTIONS["Limits"]))
    named = {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}
    del named["MAX_SEED"]
    assert {name for name, value in named.items() if str(value) not in numbers} == set()
    assert str(limits.MAX_SEED) in SECTIONS["3. Params"]


def test_the_ready_bytes_are_those_of_the_code() -> None:
    sent = Connection(Role.WORKER).send(Ready())
    assert f"```json\n{sent}\n```" in SECTIONS["2. Ready"]
    assert f"these {len(sent)} bytes" in SECTIONS["2. Ready"]


def test_the_hex_example_is_the_map_that_it_shows() -> None:
    (block,) = re.findall(r"```hex\n(.*?)```", TEXT, re.DOTALL)
    data = bytes.fromhex("".join(line.split("  ")[0] for line in block.splitlines()))
    (shown,) = re.findall(r"The map `(\{.*?\})`", TEXT)
    assert unpack_map(data) == json.loads(shown)
    assert unpack_map(data) == Params(**json.loads(shown)).wire()


def test_the_json_examples_are_messages_of_the_code() -> None:
    for text in re.findall(r"```json\n(\{\"type\".*?)\n```", TEXT):
        message = Connection(Role.CLIENT).receive(text)
        assert isinstance(message, messages.Error) and message.code in set(ErrorCode)


def test_the_client_in_the_document_gets_its_frames(worker_url: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    script = code.replace("ws://127.0.0.1:8000/ws", worker_url)
    assert script != code
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("30 frames, ")
    assert len(list(tmp_path.glob("*.jpg"))) == 30
