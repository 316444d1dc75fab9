"""`framewire doctor`: goes the way of a stream step by step, and says at which step it ends.

Address, key, token, connect, first frame. Uses the parts that `connect` uses; prints nothing secret.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from framewire.client.address import Address, parse_address, redact
from framewire.client.connect import resolve_credentials
from framewire.client.credentials import Credentials, fal_run_host
from framewire.client.errors import ConnectError, ConnectionLost, FramewireError
from framewire.client.inbox import Inbox
from framewire.client.opening import Opener
from framewire.client.routes import way
from framewire.client.session import Session
from framewire.client.tokens import TokenSource, claims_in, life_of, token_source
from framewire.client.validity import ask_time, is_doubtful, why_refused
from framewire.client.wire import Wire

from .terminal import one_line, print_json

STEPS = ("address", "key", "token", "connect", "first frame")
_PROMPT = "a lighthouse at dawn"
_EXPIRATION = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """How one step went.

    Attributes:
        ok: None where an earlier step ended the way.
        detail: what was found, or what is wrong.
        hint: what to do about it.
    """

    step: str
    ok: bool | None
    detail: str = ""
    hint: str = ""
    seconds: float | None = None


async def run_doctor(options: argparse.Namespace) -> int:
    """Examine, print and return the exit code: 0 if a frame came."""
    findings = await Examination(options).run()
    failed = next((finding.step for finding in findings if finding.ok is False), None)
    if options.json:
        found = {"ok": failed is None, "failed": failed, "steps": [asdict(one) for one in findings]}
        print_json(found, sys.stdout)
    else:
        for finding in findings:
            _print(finding)
    return 0 if failed is None else 1


def _print(finding: Finding) -> None:
    word = {True: "ok", False: "FAIL", None: "-"}[finding.ok]
    took = "" if finding.seconds is None else f" ({finding.seconds:.2f} s)"
    print(one_line(f"{word:<5} {finding.step:<12} {finding.detail}{took}"))
    if finding.hint:
        print(f"{'':<19}{one_line(finding.hint)}")


class Examination:
    """One way from the key to the first frame; each step leaves what the next one needs.

    Args:
        options: `url` or `fal`, `key`, `secret`, `token`, `token_url`, `allow_plaintext`, and
            `timeout` in seconds for each step.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._timeout: float = options.timeout
        self._address: Address
        self._credentials: Credentials
        self._tokens: TokenSource
        self._wire: Wire | None = None

    async def run(self) -> list[Finding]:
        """A finding for every step, in order. Raises nothing of the client's errors."""
        ways: tuple[Callable[[], Awaitable[str]], ...] = (
            self._where,
            self._key,
            self._token,
            self._connect,
            self._first_frame,
        )
        findings: list[Finding] = []
        try:
            for step, way in zip(STEPS, ways, strict=True):
                broken = any(finding.ok is False for finding in findings)
                findings.append(
                    Finding(step, None, "not tried") if broken else await _try(step, way)
                )
        finally:
            if self._wire is not None:
                await self._wire.close()
        return findings

    async def _where(self) -> str:
        options = self._options
        target = options.url or options.fal or "ws://127.0.0.1:8000/ws"
        self._address = parse_address(target, run_host=fal_run_host(), token_url=options.token_url)
        gateway = ", behind fal" if self._address.is_fal else ""
        return f"{self._address}{way(self._address.url)}{gateway}"

    async def _key(self) -> str:
        options = self._options
        self._credentials = resolve_credentials(
            self._address, key=options.key, token=options.token, secret=options.secret
        )
        found = self._credentials
        if found.token is not None or self._address.has_token:
            return f"a ready-made token for {self._address.alias}"
        if found.secret is not None:
            return "a secret, which tokens are minted with here"
        if found.key is None:
            return "none: right for a worker without --auth; else give --key, --secret or --token"
        if self._address.is_fal and ":" not in found.key:
            return "a key, though fal's have a colon in them: ID:SECRET"
        return "a key"

    async def _token(self) -> str:
        self._tokens = token_source(
            self._address,
            self._credentials,
            expiration=_EXPIRATION,
            allow_plaintext=self._options.allow_plaintext,
        )
        token = await self._tokens.get()
        given = self._credentials.token or self._address.token
        if given is not None:
            await self._judge(given)
        if token is None:
            return "in the URL" if self._address.has_token else "none is sent"
        life = life_of(token)
        where = f" at {redact(self._address.token_url)}" if self._credentials.key else ""
        told = "it does not tell its life" if life is None else f"it lives {life:.0f} s"
        return f"{'minted' if self._credentials.token is None else 'given'}{where}; {told}"

    async def _judge(self, token: str) -> None:
        """Refuse what says itself that it opens nothing; what it does not say is not judged."""
        theirs = await ask_time(self._address.url) if is_doubtful(token) else None
        wrong = why_refused(token, theirs)
        if wrong is not None:
            raise wrong
        apps, alias = claims_in(token).get("allowed_apps"), self._address.alias
        known = {str(app).split("/")[-1] for app in apps} if isinstance(apps, list) else set()
        if known and alias not in known:
            raise ConnectError(
                f"the token is for {', '.join(sorted(known))}, not for {alias}",
                hint="mint one for the app's last name, without its owner",
            )

    async def _connect(self) -> str:
        opener = Opener(
            self._address,
            self._tokens,
            open_timeout=self._timeout,
            ready_timeout=self._timeout,
            allow_plaintext=self._options.allow_plaintext,
        )
        self._wire = await opener()
        return f"{self._address} is ready"

    async def _first_frame(self) -> str:
        assert self._wire is not None
        session = Session(
            self._wire,
            name=str(self._address),
            inbox=Inbox(4, "newest"),
            first_frame_timeout=self._timeout,
            frame_timeout=self._timeout,
        )
        try:
            await session.start(_PROMPT, num_blocks=1)
            async for frame in session:
                return f"a JPEG of {len(frame.jpeg)} bytes"
        finally:
            await session.close()
        raise ConnectionLost("the stream was complete without a frame", hint="")


async def _try(step: str, way: Callable[[], Awaitable[str]]) -> Finding:
    began = time.monotonic()
    try:
        detail = await way()
    except FramewireError as error:
        return Finding(step, False, error.reason, error.hint, time.monotonic() - began)
    return Finding(step, True, detail, seconds=time.monotonic() - began)
