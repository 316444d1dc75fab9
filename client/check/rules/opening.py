"""Sections 1 and 2: where the endpoint is, what opens it, and ready."""

from __future__ import annotations

from framewire.client.check.probe import Probe, Unreachable
from framewire.client.check.raw_socket import RawSocket, is_ready
from framewire.client.check.rule import rule
from framewire.client.check.streams import contact, early
from framewire.client.check.verdict import Broken, must, needs
from framewire.client.errors import FramewireError
from framewire.client.tokens import mint_there
from framewire.protocol import TokenRequest


async def _must_be_ready(probe: Probe, socket: RawSocket) -> None:
    seen = await socket.until(lambda _: True, probe.timing.first)
    must(seen.texts and seen.texts[0].get("status") == "ready", seen.told())


@rule("1.1", "the URL takes a WebSocket")
async def takes_a_websocket(probe: Probe) -> None:
    try:
        await probe.once(contact)
    except Unreachable as error:
        raise Broken(str(error)) from None


@rule("1.2", "messages are not compressed")
async def not_compressed(probe: Probe) -> None:
    needs(not probe.is_fal, "fal's servers may compress")
    async with probe.socket(compression="deflate") as socket:
        agreed = [extension.name for extension in socket.socket.protocol.extensions]
        must(not agreed, f"it agreed to {', '.join(agreed)}")


@rule("1.3", "query parameters that mean nothing to it are ignored")
async def unknown_queries(probe: Probe) -> None:
    async with probe.socket(query={"max_buffering": "10", "unknown": "x"}) as socket:
        await _must_be_ready(probe, socket)


@rule("1.4", "a token is taken from the URL")
async def token_in_url(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    async with probe.socket(token=probe.token) as socket:
        await _must_be_ready(probe, socket)


@rule("1.5", "a token is taken from Authorization: Bearer")
async def token_in_header(probe: Probe) -> None:
    needs(probe.token, "no credentials were given")
    needs(not probe.is_fal, "fal's gateway wants it in the URL")
    async with probe.socket(authorization=f"Bearer {probe.token}") as socket:
        await _must_be_ready(probe, socket)


@rule("1.6", "a key is taken from Authorization: Key")
async def key_in_header(probe: Probe) -> None:
    needs(probe.credentials.key, "no key was given")
    async with probe.socket(authorization=f"Key {probe.credentials.key}") as socket:
        await _must_be_ready(probe, socket)


@rule("1.7", "a key becomes a token at /tokens/")
async def mints(probe: Probe) -> None:
    needs(probe.credentials.key, "no key was given")
    request = TokenRequest(allowed_apps=(probe.address.alias,), token_expiration=60)
    try:
        token = await mint_there(
            probe.address.token_url,
            probe.credentials.key or "",
            request,
            allow_plaintext=probe.allow_plaintext,
        )
    except FramewireError as error:
        raise Broken(error.reason) from None
    async with probe.socket(token=token) as socket:
        await _must_be_ready(probe, socket)


@rule("1.8", "an app that the path does not name rightly is refused")
async def wrong_app(probe: Probe) -> None:
    named = len(probe.path) == 3 and probe.path[2] == "ws"
    needs(named and not probe.is_fal, "this URL does not name an app of a worker")
    async with probe.socket(path=f"/{probe.path[0]}/no-such-app/ws") as socket:
        seen = await socket.until(is_ready, probe.timing.first)
    must(seen.errors and seen.errors[0]["error"] == "BAD_MESSAGE", seen.told())
    must(seen.close and seen.close[0] == 1008, f"then {seen.close}, not 1008")


@rule("2.1", 'the first message is the TEXT {"status":"ready"}, byte by byte')
async def ready_is_exact(probe: Probe) -> None:
    came = await probe.once(contact)
    must(came.text is not None, came.first.told())
    must(
        came.first.texts and came.first.texts[0].get("status") == "ready", f"got {came.text!r:.90}"
    )
    if probe.path[:1] != ["session"]:
        must(came.text == '{"status":"ready"}', f"got {came.text!r:.90}")


@rule("2.2", "on /session/{id} ready names the worker")
async def ready_names_the_worker(probe: Probe) -> None:
    needs(probe.path[:1] == ["session"], "only on /session/{id}")
    came = await probe.once(contact)
    must(came.first.texts and came.first.texts[0].get("worker"), f"got {came.text!r:.90}")


@rule("2.3", "nothing else is sent before params")
async def quiet_before_params(probe: Probe) -> None:
    then = (await probe.once(contact)).then
    must(then.ending == "silence" and not then.messages, then.told())


@rule("2.4", "params may be sent before ready was seen", blocks=1)
async def params_before_ready(probe: Probe) -> None:
    seen = await probe.once(early)
    must(seen.frames and not seen.errors, seen.told())


RULES = (
    takes_a_websocket,
    not_compressed,
    unknown_queries,
    token_in_url,
    token_in_header,
    key_in_header,
    mints,
    wrong_app,
    ready_is_exact,
    ready_names_the_worker,
    quiet_before_params,
    params_before_ready,
)
