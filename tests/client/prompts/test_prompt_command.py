"""`framewire prompt` and `framewire stream --expand` as a user runs them."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.servers.language_model import language_model, saying

from framewire.protocol.params import Params
from framewire.protocol.prompts.examples import EXAMPLE_PROMPTS

KEY = "e1-secret"
LONG = "a blue square drifts left over green hills"


async def run(*command: str, url: str = "", cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    environ = {**os.environ, "FRAMEWIRE_BACKEND": "testcard"}
    environ |= {"FRAMEWIRE_EXPANSION_URL": url, "FRAMEWIRE_EXPANSION_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "framewire.client.cli", *command,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environ, cwd=cwd,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert KEY not in out.decode() + err.decode() and "Traceback" not in err.decode()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def streamed(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


async def test_an_expanded_prompt_is_printed_alone() -> None:
    async with language_model(saying(LONG)) as model:
        assert await run("prompt", "expand", "a square", url=model.url) == (0, f"{LONG}\n", "")
        code, out, _ = await run("prompt", "expand", "a square", "--json", url=model.url)
    assert code == 0
    assert json.loads(out) == {"prompt": LONG, "original": "a square", "error": None}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [(b"", "403 Forbidden", "HTTP 403"), (b"{}", "200 OK", "without a prompt")],
)
async def test_a_failure_exits_with_1_and_keeps_the_original(
    body: bytes, status: str, says: str
) -> None:
    async with language_model(body, status=status) as model:
        code, out, err = await run("prompt", "expand", "a square", "--json", url=model.url)
    said = json.loads(out)
    assert (code, said["prompt"], said["original"]) == (1, None, "a square")
    assert says in said["error"]["reason"] and says in err


async def test_without_an_endpoint_it_says_how_to_name_one() -> None:
    code, out, err = await run("prompt", "expand", "a square")
    assert (code, out) == (1, "") and "FRAMEWIRE_EXPANSION_URL" in err


async def test_a_blank_prompt_and_a_word_that_is_none_are_wrong_usage() -> None:
    assert (await run("prompt", "expand", " "))[0] == 2
    assert (await run("prompt", "improve", "a square"))[0] == 2
    assert (await run("prompt", "examples", "--preset", "other"))[0] == 2


async def test_a_stream_shows_the_expanded_prompt_and_tells_the_original(tmp_path: Path) -> None:
    shape = ("--blocks", "1", "--size", "128x64", "--seed", "3", "--json")
    async with language_model(saying(LONG)) as model:
        command = ("stream", "a square", "--expand", "--out", "a/", *shape)
        command += ("--save-timeline", "kept.json")
        code, out, err = await run(*command, url=model.url, cwd=tmp_path)
    said = streamed(out)
    assert code == 0 and LONG in err
    assert (said["prompts"], said["original_prompt"]) == ([LONG], "a square")
    kept = (tmp_path / "kept.json").read_text(encoding="utf-8")
    assert '"original_prompt": "a square"' in kept and LONG in kept and KEY not in kept
    assert (await run("stream", LONG, "--out", "b/", *shape, cwd=tmp_path))[0] == 0
    one, other = (tmp_path / name / "frame_000000.jpg" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", "403 Forbidden", "HTTP 403"),
        (b"{}", "200 OK", "without a prompt"),
        (saying("no", finish_reason="content_filter"), "200 OK", "refused this prompt"),
    ],
)
async def test_a_stream_goes_on_with_the_prompt_as_it_was_where_it_cannot_be_expanded(
    body: bytes, status: str, says: str, tmp_path: Path
) -> None:
    async with language_model(body, status=status) as model:
        command = ("stream", "a square", "--expand", "--blocks", "1", "--size", "128x64", "--json")
        code, out, err = await run(*command, url=model.url, cwd=tmp_path)
    said = streamed(out)
    assert (code, said["frames"], said["prompts"]) == (0, 6, ["a square"])
    assert says in err and "going on with the prompt as it is" in err
    assert "original_prompt" not in said


@pytest.mark.parametrize(
    ("url", "says"),
    [("", "no endpoint expands prompts"), ("http://llm.example/v1", "would go to llm.example")],
)
async def test_no_way_to_expand_is_wrong_usage_before_anything_is_started(
    url: str, says: str, tmp_path: Path
) -> None:
    code, out, err = await run("stream", "a square", "--expand", "--json", url=url, cwd=tmp_path)
    assert (code, out) == (2, "") and says in err


async def test_a_timeline_brings_its_own_prompts(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"0": "a square"}')
    command = ("stream", "--timeline", "map.json", "--frames", "6", "--expand")
    code, _, err = await run(*command, url="http://127.0.0.1:9/v1", cwd=tmp_path)
    assert code == 2 and "--expand and --timeline" in err


async def test_each_model_has_a_dozen_prompts_that_can_be_sent() -> None:
    code, out, _ = await run("prompt", "examples", "--json")
    found = json.loads(out)
    assert code == 0
    assert {preset: tuple(prompts) for preset, prompts in found.items()} == EXAMPLE_PROMPTS
    for prompts in found.values():
        assert len(set(prompts)) == len(prompts) == 12
        for prompt in prompts:
            assert Params(prompt=prompt) and prompt.isprintable() and "  " not in prompt


async def test_the_prompts_of_one_model_are_a_line_each() -> None:
    _, out, _ = await run("prompt", "examples", "--preset", "tiny")
    assert tuple(out.splitlines()) == EXAMPLE_PROMPTS["tiny"]
    _, everything, _ = await run("prompt", "examples")
    assert set(EXAMPLE_PROMPTS) <= set(everything.splitlines())


def test_a_reader_who_leaves_early_gets_no_traceback() -> None:
    """As `| head -1` does."""
    import subprocess

    command = f"{sys.executable} -m framewire.client.cli prompt examples | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
