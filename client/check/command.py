"""`framewire check`: run the suite against an endpoint and say what came of it, a line a rule."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from framewire.client.address import parse_address
from framewire.client.commands.terminal import one_line, print_json, printable
from framewire.client.connect import resolve_credentials
from framewire.client.credentials import fal_run_host
from framewire.client.errors import FramewireError
from framewire.client.tokens import token_source

from .probe import Probe
from .rule import Finding
from .suite import RULES, run_rules

TOKEN_SECONDS = 600
SMALL = (128, 64)


async def run_check(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 where a rule is broken or nothing could be checked, 2 for usage."""
    unknown = sorted(set(options.rule) - {rule.number for rule in RULES})
    target = options.where or options.url or options.fal
    if unknown or not target:
        wrong = f"no rule {', '.join(unknown)}" if unknown else "give a URL, or --fal APP"
        print(f"framewire check: {wrong}", file=sys.stderr)
        return 2
    try:
        probe = await _probe(options, target)
    except FramewireError as error:
        print(printable(f"framewire check: {error}"), file=sys.stderr)
        return 1
    began = time.monotonic()
    findings: list[Finding] = []
    async for finding in run_rules(probe, options.rule):
        findings.append(finding)
        if not options.json:
            print(one_line(_line(finding)), flush=True)
    seconds = time.monotonic() - began
    if options.json:
        print_json(_as_dict(probe, findings, seconds), sys.stdout)
    else:
        print(_sum(probe, findings, seconds))
    passed = any(f.outcome == "ok" for f in findings) and not _count(findings, "FAIL")
    return 0 if passed else 1


async def _probe(options: argparse.Namespace, target: str) -> Probe:
    address = parse_address(target, run_host=fal_run_host(), token_url=options.token_url)
    credentials = resolve_credentials(
        address, key=options.key, token=options.token, secret=options.secret
    )
    allow = options.allow_plaintext
    tokens = token_source(address, credentials, expiration=TOKEN_SECONDS, allow_plaintext=allow)
    token = await tokens.get()
    size = options.size or (None if address.is_fal else SMALL)
    return Probe(address, credentials, token, size=size, allow_plaintext=allow)


def _count(findings: list[Finding], outcome: str) -> int:
    return sum(finding.outcome == outcome for finding in findings)


def _line(finding: Finding) -> str:
    line = f"{finding.rule.number:>5}  {finding.outcome:<7}  {finding.rule.title}"
    return f"{line}: {finding.reason}" if finding.reason else line


def _sum(probe: Probe, findings: list[Finding], seconds: float) -> str:
    counts = ", ".join(f"{_count(findings, each)} {each}" for each in ("ok", "FAIL", "skipped"))
    return f"{counts}; {probe.blocks} blocks ({probe.frames} frames) were used, in {seconds:.1f} s"


def _as_dict(probe: Probe, findings: list[Finding], seconds: float) -> dict[str, Any]:
    rules = [
        {
            "number": finding.rule.number,
            "title": finding.rule.title,
            "outcome": finding.outcome.lower(),
            "reason": finding.reason,
        }
        for finding in findings
    ]
    return {
        "url": str(probe.address),
        "ok": _count(findings, "ok"),
        "fail": _count(findings, "FAIL"),
        "skipped": _count(findings, "skipped"),
        "blocks": probe.blocks,
        "frames": probe.frames,
        "seconds": round(seconds, 3),
        "rules": rules,
    }
