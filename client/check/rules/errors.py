"""Section 8: who is refused, how, and how sockets close."""

from __future__ import annotations

import time

import jwt

from framewire.client.check.probe import Probe, Unreachable
from framewire.client.check.raw_socket import is_ready
from framewire.client.check.rule import rule
from framewire.client.check.streams import baseline
from framewire.client.check.verdict import Skipped, must, needs
from framewire.client.errors import FramewireError
from framewire.client.tokens import mint_here, mint_there
from framewire.protocol import ALGORITHM, MAX_MESSAGE_BYTES, TokenRequest, claims

_PIECE = 1 << 20
"""Bytes of a fragment of the message that is too large."""

SOME_SECRET = "not the secret that the endpoint signs its tokens with"


async def _refused(probe: Probe, *, token: str | None) -> None:
    """Without the right token it says UNAUTHORIZED and closes with 1008."""
    try:
        async with probe.socket(token=token, anonymous=token is None) as socket:
            seen = await socket.until(is_ready, probe.timing.between)
    except Unreachable:
        if probe.is_fal:  # its gateway may refuse the upgrade
            return
        raise
    must(seen.ending != "wanted", "it was ready")
    if probe.is_fal:
        must(seen.errors or seen.ending == "closed", seen.told())
        return
    must(seen.errors and seen.errors[0]["error"] == "UNAUTHORIZED", seen.told())
    must(seen.close and seen.close[0] == 1008, f"it closed with {seen.close}, not 1008")


@rule("8.1", "without a token: UNAUTHORIZED, then close 1008")
async def no_token(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    await _refused(probe, token=None)


@rule("8.2", "with a forged token: UNAUTHORIZED, then close 1008")
async def forged_token(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    request = TokenRequest(allowed_apps=(probe.address.alias,), token_expiration=60)
    await _refused(probe, token=mint_here(SOME_SECRET, request))


@rule("8.3", "with a token for another app: UNAUTHORIZED, then close 1008")
async def token_for_another_app(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    request = TokenRequest(allowed_apps=("another-app",), token_expiration=60)
    given = probe.credentials
    needs(given.secret or given.key, "neither a secret nor a key was given to mint one with")
    needs(not probe.is_fal, "fal mints none for apps that are not there")
    if given.secret is not None:
        token = mint_here(given.secret, request)
    else:
        try:
            token = await mint_there(probe.address.token_url, given.key or "", request)
        except FramewireError as error:
            raise Skipped(f"none was minted: {error.reason}") from None
    await _refused(probe, token=token)


@rule("8.4", "with a token that has expired: UNAUTHORIZED, then close 1008")
async def expired_token(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    secret = probe.credentials.secret
    needs(secret, "no secret was given to mint one with")
    request = TokenRequest(allowed_apps=(probe.address.alias,), token_expiration=60)
    old = jwt.encode(claims(request, time.time() - 3600), secret or "", algorithm=ALGORITHM)
    await _refused(probe, token=old)


@rule("8.5", "a message above 16 MiB closes the socket with 1009")
async def too_big(probe: Probe) -> None:
    needs(not probe.is_fal, "fal's gateway has limits of its own")
    async with probe.ready() as socket:
        # In pieces, of which the last is one too many: what is closed while much is on its way is
        # reset by whatever stands between, and the code is lost.
        whole = [b"\xc6" + bytes(_PIECE - 1), *[bytes(_PIECE)] * (MAX_MESSAGE_BYTES // _PIECE - 1)]
        await socket.say_raw([*whole, b"\0"])
        seen = await socket.closing(probe.timing.between)
    must(seen.close, seen.told())
    must(seen.close and seen.close[0] == 1009, f"{seen.told()}, not with 1009")


@rule("8.6", "a close with 1000 is answered with 1000")
async def close_is_answered(probe: Probe) -> None:
    made = await probe.once(baseline)
    needs(made.after.ending != "closed", "it had closed: see 7.3")
    must(made.close_code == 1000, f"the answer was {made.close_code or 'none'}")


RULES = (no_token, forged_token, token_for_another_app, expired_token, too_big, close_is_answered)
