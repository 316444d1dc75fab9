"""For every rule of the wire, a way to break it: `BREAKS` by the rule's number."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgpack
from support.servers.broken_endpoint import (
    REFUSED,
    Break,
    Link,
    NoGoodbye,
    Values,
    coarse,
    is_completed,
    is_kind,
    is_ready,
    is_refusal,
    is_start,
    on_envelope,
    on_map,
    on_text,
    without,
)

SECRET = "s" * 32
KEY = "the-key"
Door = tuple[str, dict[str, str]] | None


def always_in(path: str, headers: dict[str, str]) -> Door:
    """Whoever comes is led in with the right key."""
    return path.partition("?")[0], {"Authorization": f"Key {KEY}"}


def deaf_to(scheme: str) -> Callable[[str, dict[str, str]], Door]:
    """An Authorization of this scheme is not passed on."""

    def door(path: str, headers: dict[str, str]) -> Door:
        return path, {} if headers.get("Authorization", "").startswith(scheme) else headers

    return door


def nowhere_in_particular(path: str, headers: dict[str, str]) -> Door:
    """Whoever comes is led in as a script."""
    return path, without(headers, "Origin")


def no_unknown_query(path: str, headers: dict[str, str]) -> Door:
    return None if "unknown" in path else (path, headers)


async def talks_on(link: Link, said: Any) -> None:
    if is_ready(said):
        await link.tell_client(type="hello")


async def waits_with_ready(link: Link, said: Any) -> None:
    """Ready comes late, so that params are there before it, or not at all."""
    if is_ready(said):
        with suppress(TimeoutError):
            await asyncio.wait_for(link.heard.wait(), 0.3)


async def closes_after_refusal(link: Link, said: Any) -> None:
    if is_refusal(said):
        await link.client.close()


async def closes_after_completed(link: Link, said: Any) -> None:
    if is_completed(said):
        await link.client.close()


async def hangs_up_on_text(link: Link, data: bytes | str) -> None:
    if isinstance(data, str):
        await link.tell_client(error="what?")


async def answers_late_pictures(link: Link, data: bytes | str) -> None:
    if link.completed and isinstance(data, bytes) and "image" in msgpack.unpackb(data):
        await link.tell_client(error="too late")


async def completes_too_early(link: Link, said: Any) -> None:
    if link.frames == 60 and isinstance(said, bytes):
        await link.tell_client(session_id="s", status="completed")


async def tells_unasked(link: Link, said: Any) -> None:
    if isinstance(said, bytes) and link.frames == 0:
        await link.tell_client(type="queued", position=1)


def changes_prompt(values: Values) -> bool:
    return "interp_steps" in values and "at_block" not in values


def after_completed(key: str) -> Callable[[Link, Values], Values]:
    """Another seed in the maps with `key` that come after the end of the first stream."""
    return lambda link, values: values | {"seed": 9} if link.completed and key in values else values


def _weights(values: Values) -> list[float]:
    return [one["weight"] for one in values.get("prompts", [])]


def blank_prompt(values: Values) -> bool:
    return isinstance(values.get("prompt"), str) and not values["prompt"].strip()


_invalid = on_text(
    lambda text: text.get("error") == "BAD_MESSAGE", lambda text: text | {"error": "X"}
)

BREAKS: dict[str, Break] = {
    "1.1": Break(refuse=404),
    "1.2": Break(compression="deflate"),
    "1.3": Break(door=no_unknown_query),
    "1.4": Break(door=lambda path, headers: (path.partition("?")[0], headers)),
    "1.5": Break(door=deaf_to("Bearer")),
    "1.6": Break(door=deaf_to("Key")),
    "1.7": Break(),  # the token endpoint is another server: the test has one that mints none
    "1.8": Break(door=lambda path, headers: (path.replace("no-such-app", "krea-wan-14b"), headers)),
    "2.1": Break(texts=on_text(is_ready, lambda _: '{"status": "ready"}')),
    "2.2": Break(texts=on_text(is_ready, lambda text: without(text, "worker"))),
    "2.3": Break(after=talks_on),
    "2.4": Break(before=waits_with_ready, maps=lambda link, values: None),
    "3.1": Break(maps=lambda link, values: None),
    "3.2": Break(maps=on_map(blank_prompt, lambda values: values | {"prompt": "x"})),
    "3.3": Break(maps=on_map(lambda m: m.get("seed", 0) > 2**24, lambda m: without(m, "seed"))),
    "3.4": Break(maps=lambda link, m: {k: 64 if v is True else v for k, v in m.items()}),
    "3.5": Break(maps=on_map(lambda m: "unknown" in m, lambda _: REFUSED)),
    "3.6": Break(maps=on_map(lambda m: None in m.values(), lambda _: REFUSED)),
    "3.7": Break(maps=on_map(lambda m: isinstance(m.get("seed"), float), lambda _: REFUSED)),
    "3.8": Break(maps=on_map(is_start, lambda m: m | {"width": 64})),
    "3.9": Break(maps=on_map(lambda m: m.get("width", 8) % 8, lambda _: REFUSED)),
    "3.10": Break(maps=lambda link, values: values | {"seed": link.number}),
    "3.11": Break(maps=lambda link, values: values | {"seed": 1}),
    "3.12": Break(maps=lambda link, m: without(m, "start_frame")),
    "3.13": Break(maps=lambda link, m: without(m, "start_frame")),
    "3.14": Break(maps=on_map(lambda m: 2 in _weights(m), lambda m: without(m, "prompts"))),
    "3.15": Break(maps=on_map(lambda m: -1 in _weights(m), lambda m: without(m, "prompts"))),
    "4.1": Break(texts=on_text(is_refusal, lambda text: text | {"error": text["reason"]})),
    "4.2": Break(texts=on_text(is_refusal, lambda text: without(text, "type"))),
    "4.3": Break(texts=on_text(is_refusal, lambda text: text | {"input": "do-not-repeat-me"})),
    "4.4": Break(after=closes_after_refusal),
    "4.5": Break(texts=_invalid),
    "4.6": Break(texts=_invalid),
    "4.7": Break(close=lambda code: 1000 if code == 1008 else code),
    "5.1": Break(frames=lambda link, frame: frame[:-2]),
    "5.2": Break(frames=lambda link, frame: coarse(frame)),
    "5.3": Break(frames=lambda link, frame: None if link.frames == 10 else frame),
    "5.4": Break(frames=on_envelope(lambda frame: frame | {"index": frame["index"] + 1})),
    "5.5": Break(frames=on_envelope(lambda frame: without(frame, "block"))),
    "5.6": Break(door=nowhere_in_particular),
    "6.1": Break(maps=on_map(changes_prompt, lambda m: without(m, "prompt"))),
    "6.2": Break(maps=on_map(lambda m: m.get("at_block") == 1, lambda m: m | {"prompt": "x"})),
    "6.3": Break(maps=on_map(changes_prompt, lambda m: m | {"num_blocks": m["num_blocks"] + 1})),
    "6.4": Break(maps=on_map(lambda m: "action" in m, lambda m: without(m, "seed"))),
    "6.5": Break(texts=on_text(is_completed, lambda _: None), after=closes_after_completed),
    "6.6": Break(on_raw=hangs_up_on_text),
    "6.7": Break(maps=on_map(lambda m: m.get("at_block") == 3, lambda m: m | {"at_block": 1})),
    "6.8": Break(maps=on_map(lambda m: "image" in m, lambda _: None)),
    "6.9": Break(frames=on_envelope(lambda frame: frame | {"request_id": "x"})),
    "6.10": Break(maps=on_map(lambda m: m.get("at_block") == 1, lambda m: without(m, "prompt"))),
    "6.11": Break(maps=on_map(lambda m: "steers" in m, lambda m: without(m, "steers"))),
    "7.1": Break(before=completes_too_early),
    "7.2": Break(texts=on_text(is_completed, lambda text: without(text, "session_id"))),
    "7.3": Break(after=closes_after_completed),
    "7.4": Break(on_raw=answers_late_pictures),
    "7.5": Break(maps=after_completed("prompt")),
    "7.6": Break(maps=after_completed("action")),
    "8.1": Break(door=always_in),
    "8.2": Break(door=always_in),
    "8.3": Break(door=always_in),
    "8.4": Break(door=always_in),
    "8.5": Break(close=lambda code: 1000 if code == 1009 else code),
    "8.6": Break(connection=NoGoodbye),
    "9.1": Break(before=tells_unasked),
    "9.2": Break(texts=on_text(is_kind("started"), lambda text: without(text, "seed"))),
    "9.3": Break(texts=on_text(is_kind("block"), lambda text: text | {"frames": 7})),
    "9.4": Break(texts=on_text(is_kind("steered"), lambda text: text | {"block": 9})),
    "9.5": Break(texts=on_text(is_kind("warning"), lambda text: text | {"error": "dropped"})),
    "9.6": Break(maps=on_map(is_start, lambda m: without(m, "events"))),
}
