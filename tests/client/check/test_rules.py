"""The suite finds nothing wrong with our worker, and names the rule that another server breaks."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from support.rules_broken import BREAKS, KEY, SECRET
from support.servers.broken_endpoint import HONEST, Break, broken_endpoint
from support.servers.stand_in import token_endpoint
from support.servers.worker_server import Running, serving

from framewire.client.address import parse_address
from framewire.client.check import RULES, Finding, Probe, Timing, run_rules
from framewire.client.cli import main
from framewire.client.credentials import Credentials
from framewire.client.tokens import token_source

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT = Timing(first=60.0, between=60.0, quiet=0.1, fps=250)
QUICK = replace(PATIENT, first=2.0, between=2.0)
"""For servers that break a rule, which at times is by silence."""
SILENCE = {"2.4", "3.1", "6.8"}
"""Broken by nothing coming, which is waited for no longer than need be."""
PATHS = {"1.8": "/fal-ai/krea-wan-14b/ws", "2.2": "/session/mine"}
"""Where the rules apply that do not apply to `/ws`."""
FAL_RULES = {"1.2": "skipped", "1.4": "ok", "1.5": "skipped", "1.8": "skipped", "2.1": "ok"} | {
    "3.1": "ok",
    "3.8": "skipped",
    "3.10": "skipped",
    "5.3": "ok",
    "8.1": "ok",
    "8.5": "skipped",
}
WITH_KEY = Credentials(key=KEY)
WITH_SECRET = Credentials(secret=SECRET)
KEY_RULES = {"1.6", "1.7"}
"""Skipped where a secret is given, the only ones besides those of other paths."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Running]:
    async with serving(auth="jwt", secret=SECRET, key=KEY, max_sessions=8) as running:
        yield running


async def probe_of(url: str, credentials: Credentials, timing: Timing = PATIENT) -> Probe:
    address = parse_address(url)
    token = await token_source(address, credentials, expiration=60).get()
    return Probe(address, credentials, token, timing=timing)


async def findings(probe: Probe, *only: str) -> list[Finding]:
    return [finding async for finding in run_rules(probe, only)]


def base(running: Running) -> str:
    return running.url.removesuffix("/ws")


@pytest.mark.parametrize("path", ["/ws", *PATHS.values()])
async def test_our_worker_keeps_every_rule_and_offers_every_extension(
    worker: Running, path: str
) -> None:
    probe = await probe_of(base(worker) + path, WITH_SECRET)
    found = await findings(probe)
    assert [f for f in found if f.outcome == "FAIL"] == []
    assert 20 <= probe.blocks <= sum(rule.blocks for rule in RULES) <= 47
    elsewhere = {number for number, only in PATHS.items() if only != path}
    assert {f.rule.number for f in found if f.outcome == "skipped"} == KEY_RULES | elsewhere


async def test_the_rules_of_keys_are_kept_too(worker: Running) -> None:
    found = await findings(await probe_of(worker.url, WITH_KEY), *KEY_RULES, "8.3")
    assert [f.outcome for f in found] == ["ok", "ok", "ok"]


async def test_a_middleman_who_breaks_nothing_is_not_blamed(worker: Running) -> None:
    async with broken_endpoint(base(worker), HONEST) as url:
        found = await findings(await probe_of(f"{url}/ws", WITH_SECRET))
    assert [f for f in found if f.outcome == "FAIL"] == []


@pytest.mark.parametrize("number", [rule.number for rule in RULES])
async def test_a_server_that_breaks_one_rule_is_told_which(worker: Running, number: str) -> None:
    """A rule without a way to break it fails here: it would be a rule that cannot fail."""
    async with (
        broken_endpoint(base(worker), BREAKS[number]) as url,
        token_endpoint(lambda _: {"nothing": 1}) as mint,
    ):
        credentials = WITH_KEY if number in KEY_RULES else WITH_SECRET
        probe = await probe_of(worker.url, credentials, QUICK)
        if number in SILENCE:
            probe.timing = replace(QUICK, first=0.5)
        probe.address = parse_address(url + PATHS.get(number, "/ws"), token_url=mint.url)
        (found,) = await findings(probe, number)
    assert found.outcome == "FAIL", found.reason
    assert found.reason and "\n" not in found.reason and SECRET not in found.reason


async def test_the_protocol_document_lists_the_rules() -> None:
    text = (Path(__file__).parents[3] / "protocol" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+\.\d+) \| (.+?) \|$", text, re.MULTILINE)
    assert listed == [(rule.number, rule.title) for rule in RULES]


async def test_every_way_to_break_a_rule_belongs_to_one() -> None:
    assert set(BREAKS) == {rule.number for rule in RULES}
    assert len(RULES) == len(BREAKS)


async def test_one_broken_rule_does_not_drag_others_down(worker: Running) -> None:
    broken = "6.9"
    async with broken_endpoint(base(worker), BREAKS[broken]) as url:
        found = await findings(await probe_of(f"{url}/ws", WITH_SECRET))
    assert [f.rule.number for f in found if f.outcome == "FAIL"] == [broken]


async def test_extensions_that_a_server_does_not_have_are_skipped(worker: Running) -> None:
    """A server that knows bare JPEGs, prompts and pictures only, like Krea's."""

    def plain(path: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        return path.partition("?")[0], headers

    def known(link: object, values: dict[str, object]) -> dict[str, object] | None:
        kept = {"prompt", "num_blocks", "seed", "width", "height", "image", "webcam_mode"}
        return {key: value for key, value in values.items() if key in kept} or None

    only = (
        "3.14",
        "3.15",
        "5.4",
        "5.5",
        "6.2",
        "6.7",
        "6.9",
        "6.10",
        "9.2",
        "9.3",
        "9.4",
        "9.5",
        "9.6",
    )
    async with broken_endpoint(base(worker), replace(Break(), door=plain, maps=known)) as url:
        found = await findings(await probe_of(f"{url}/ws", WITH_SECRET), *only)
    assert {f.rule.number: f.outcome for f in found} == dict.fromkeys(only, "skipped")
    assert all("not offered" in f.reason for f in found)


async def test_behind_fals_gateway_the_size_is_the_apps_own_and_its_habits_are_no_faults(
    worker: Running,
) -> None:
    probe = await probe_of(f"{base(worker)}/fal-ai/krea-wan-14b/ws", WITH_SECRET)
    probe.address, probe.size = replace(probe.address, is_fal=True), None
    found = {f.rule.number: f.outcome for f in await findings(probe, *FAL_RULES)}
    assert found == FAL_RULES
    assert probe.blocks <= 6


async def test_an_endpoint_that_is_not_there_fails_the_first_rule_and_skips_the_rest() -> None:
    found = await findings(await probe_of("ws://127.0.0.1:9/ws", WITH_SECRET))
    assert [f.rule.number for f in found if f.outcome == "FAIL"] == ["1.1"]
    assert not [f for f in found if f.outcome == "ok"]


async def test_the_command_prints_a_line_a_rule_and_exits_by_the_outcome(
    worker: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ["--rule", "2.1", "--rule", "3.2"]
    assert await asyncio.to_thread(main, ["check", worker.url, "--secret", SECRET, *rules]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["2.1", "ok"], ["3.2", "ok"]]
    assert lines[-1].startswith("2 ok, 0 FAIL, 0 skipped; 0 blocks (0 frames)")
    async with broken_endpoint(base(worker), BREAKS["2.1"]) as url:
        options = ["check", f"{url}/ws", "--secret", SECRET, "--json", *rules]
        assert await asyncio.to_thread(main, options) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["fail"], said["skipped"]) == (1, 1, 0)
    assert said["rules"][0] | {"reason": ""} == {
        "number": "2.1",
        "title": RULES[8].title,
        "outcome": "fail",
        "reason": "",
    }


@pytest.mark.parametrize("wrong", [[], ["ws://127.0.0.1:9/ws", "--rule", "12.1"]])
async def test_wrong_usage_exits_with_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(main, ["check", *wrong]) == 2
    assert "framewire check: " in capsys.readouterr().err
