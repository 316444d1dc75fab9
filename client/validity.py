"""Whether a token is good by what it says itself, and whose clock is wrong where it seems not to be.

The server's clock decides, which its `Date` tells; signatures are the server's business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import httpx

from .errors import AuthError, ConnectError
from .limits.answer import whole_answer
from .routes import http_client
from .tokens import claims_in

CLOCK_SECONDS = 10.0
"""By which two clocks may differ before one of them is called wrong."""
_ASK_SECONDS = 10.0
_SET_IT = "set the wrong one of the two clocks"


def server_time(headers: Mapping[str, str]) -> float | None:
    """Seconds since 1970 by the server that answered with `headers`; None if it does not tell."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (LookupError, ValueError, TypeError, OverflowError):
        return None


async def ask_time(url: str) -> float | None:
    """The time by the server of a WebSocket URL; None if it does not tell."""
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "wss" else "http"
    page = urlunsplit((scheme, parts.netloc.rpartition("@")[2], "/", "", ""))
    try:
        async with http_client(page, timeout=_ASK_SECONDS) as client:
            answer = await whole_answer(client, "HEAD", page, seconds=_ASK_SECONDS)
            return server_time(answer.headers)
    except (httpx.HTTPError, httpx.InvalidURL, ConnectError):
        return None


def is_doubtful(token: str, now: float | None = None) -> bool:
    """Whether it is not good `now`, by this machine's clock if that is not given."""
    issued, expires = _span(token)
    now = time.time() if now is None else now
    return (expires is not None and expires <= now) or (
        issued is not None and issued > now + CLOCK_SECONDS
    )


def why_refused(token: str, theirs: float | None) -> AuthError | None:
    """What is wrong with a token's time; None where nothing is.

    Args:
        theirs: the time by the server's clock; None where only this machine's is known.
    """
    ours = time.time()
    theirs = ours if theirs is None else theirs
    if not is_doubtful(token, theirs):
        return None
    issued, expires = _span(token)
    ahead = theirs - ours
    clocks = (
        f"by the server's clock, which is {abs(ahead):.0f} s "
        f"{'ahead of' if ahead > 0 else 'behind'} this machine's"
    )
    if expires is not None and expires <= theirs:
        if expires > ours and ahead > CLOCK_SECONDS:
            return AuthError(f"the token is over {clocks}", hint=_SET_IT)
        gone = theirs - expires
        return AuthError(
            f"the token expired {gone:.0f} s ago", hint="mint another: framewire token"
        )
    assert issued is not None
    if -ahead > CLOCK_SECONDS:
        return AuthError(f"the token is from the future {clocks}", hint=_SET_IT)
    return AuthError(
        f"the token is from the future, by {issued - theirs:.0f} s",
        hint="set the clock of the machine that it was minted on",
    )


def _span(token: str) -> tuple[float | None, float | None]:
    """When it was issued and when it expires, as far as it says so."""
    told = claims_in(token)
    return _seconds(told.get("iat")), _seconds(told.get("exp"))


def _seconds(claim: object) -> float | None:
    try:
        seconds = float(claim) if isinstance(claim, int | float) else math.nan
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and not isinstance(claim, bool) else None
