"""Section 4: how bad params are answered, and that the socket outlives them."""

from __future__ import annotations

from typing import Any

from framewire.client.check.probe import Probe
from framewire.client.check.raw_socket import Seen, is_answer
from framewire.client.check.rule import rule
from framewire.client.check.streams import streamed
from framewire.client.check.verdict import must, needs, not_offered
from framewire.protocol import pack_map

SECRET = "do-not-repeat-me"
NO_PARAMS: tuple[tuple[str, bytes | str], ...] = (
    ("TEXT", '{"prompt":"a lighthouse"}'),
    ("malformed msgpack", b"\xc1"),
    ("msgpack that ends early", b"\x81\xa6prom"),
    ("an array", b"\x93\x01\x02\x03"),
)
TOO_LARGE: tuple[tuple[str, bytes], ...] = (
    ("4097 elements", pack_map({"prompt": "a", "extra": [0] * 4097})),
    ("nested 9 deep", pack_map({"prompt": "a", "extra": [[[[[[[[[0]]]]]]]]]})),
    ("a length beyond the message", b"\x81\xa6prompt\xdb\xff\xff\xff\xff"),
)
REFUSALS = 20


async def refusal(probe: Probe) -> Seen:
    """What a width out of range is answered with, and what a map after it is."""
    async with probe.ready() as socket:
        await socket.say(probe.params(width=1, num_blocks=1, start_frame=SECRET))
        return await socket.until(is_answer, probe.timing.between)


async def _error(probe: Probe) -> dict[str, Any]:
    seen = await probe.once(refusal)
    must(seen.errors, seen.told())
    return seen.errors[0]


@rule("4.1", "bad params are answered by a list that names each of them")
async def list_of_errors(probe: Probe) -> None:
    error = (await _error(probe))["error"]
    must(isinstance(error, list) and error, f"error is {error!r:.80}, not a list")
    for item in error:
        shaped = isinstance(item, dict) and {"type", "loc", "msg"} <= item.keys()
        must(shaped, f"an entry without type, loc and msg: {item!r:.80}")
    named = {str(place) for item in error for place in item["loc"]}
    must("width" in named, f"width was wrong, and it named {', '.join(sorted(named))}")


@rule("4.2", "the answer is an x-fal-error with a reason in one line")
async def shaped_error(probe: Probe) -> None:
    error = await _error(probe)
    must(error.get("type") == "x-fal-error", f"type is {error.get('type')!r}")
    reason = error.get("reason")
    must(isinstance(reason, str) and reason and "\n" not in reason, f"reason is {reason!r:.80}")


@rule("4.3", "the answer does not repeat what was sent")
async def nothing_repeated(probe: Probe) -> None:
    must(SECRET not in repr(await _error(probe)), "it repeats a value that was sent")


@rule("4.4", "after a refusal the socket stays open and other params are tried", blocks=1)
async def open_after_refusal(probe: Probe) -> None:
    async with probe.ready() as socket:
        await socket.say(probe.params(width=1))
        first = await socket.until(is_answer, probe.timing.between)
        needs(first.errors, "nothing was refused: see 4.1")
        seen = await streamed(probe, socket, probe.params(num_blocks=1))
    must(seen.frames, seen.told())


async def _bad_messages(probe: Probe, tries: tuple[tuple[str, bytes | str], ...]) -> None:
    async with probe.ready() as socket:
        for name, data in tries:
            await socket.say_raw(data)
            seen = await socket.until(is_answer, probe.timing.between)
            if seen.ending == "silence":
                not_offered(f"{name}: {seen.told()}")
            must(seen.errors, f"{name}: {seen.told()}")
            said = seen.errors[0]["error"]
            must(said == "BAD_MESSAGE", f"{name}: error is {said!r:.60}, not BAD_MESSAGE")


@rule("4.5", "what is no params at all is answered by BAD_MESSAGE")
async def bad_message(probe: Probe) -> None:
    await _bad_messages(probe, NO_PARAMS)


@rule("4.6", "maps that are too large or too deep are answered by BAD_MESSAGE")
async def too_large(probe: Probe) -> None:
    await _bad_messages(probe, TOO_LARGE)


@rule("4.7", "twenty refusals in a row, not fewer, close the socket with 1008")
async def twenty_refusals(probe: Probe) -> None:
    async with probe.ready() as socket:
        for count in range(1, REFUSALS + 1):
            await socket.say_raw(b"\xc1")
            seen = await socket.until(is_answer, probe.timing.between)
            must(seen.ending != "closed", f"closed after {count - 1} refusals: {seen.told()}")
            if seen.ending == "silence":
                not_offered(f"after {count} bad messages {seen.told()}")
        seen = await socket.closing(probe.timing.between)
    if seen.close is None:
        not_offered("it stays open")
    must(seen.close and seen.close[0] == 1008, f"{seen.told()}, not with 1008")


RULES = (
    list_of_errors,
    shaped_error,
    nothing_repeated,
    open_after_refusal,
    bad_message,
    too_large,
    twenty_refusals,
)
