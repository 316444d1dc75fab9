"""What a typed line asks for. Knows the words and their ranges, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from framewire.client.address import redact
from framewire.client.commands.lora_option import parse_lora
from framewire.client.live_input.sources.naming import HALF_URL, shown
from framewire.protocol import MAX_SEED

_URL = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.:-]*://|{HALF_URL.pattern})\S+?(?=[:;,]?(?:\s|$))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Typed:
    """One line.

    Attributes:
        word: what is to be done: `prompt`, or a command's name.
        values: of a change, as `Session.steer` takes them.
        name: of a file.
    """

    word: str
    values: dict[str, Any] = field(default_factory=dict)
    name: str = ""


def parse_line(text: str) -> Typed | None:
    """A prompt, or a command that begins with a slash; None of an empty line.

    Raises:
        ValueError: it is neither; says what would be right.
    """
    text = text.strip()
    if not text:
        return None
    if _URL.match(text):
        raise ValueError("an address is no prompt; --input and --out take them")
    if not text.startswith("/"):
        return Typed("prompt", {"prompt": text})
    word, _, rest = text[1:].partition(" ")
    if word not in COMMANDS:
        raise ValueError(f"there is no /{word}; /help lists what there is")
    return COMMANDS[word].parse(rest.strip())


def help_text() -> str:
    """What can be typed, a line each."""
    usages = [f"/{word} {command.argument}".rstrip() for word, command in COMMANDS.items()]
    room = max(map(len, usages))
    lines = [f"{'any other line':<{room}}  is the prompt from the next block on"]
    lines += [
        f"{usage:<{room}}  {command.about}"
        for usage, command in zip(usages, COMMANDS.values(), strict=True)
    ]
    return "\n".join(lines)


def without_secrets(text: str) -> str:
    """A line as it may be kept and shown: no password, query or key of a URL."""
    return redact(_URL.sub(lambda found: shown(found[0]), text))


def _strength(text: str) -> Typed:
    return Typed("strength", {"strength": _number(text, "/strength", 1.0)})


def _seed(text: str) -> Typed:
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > MAX_SEED:
        raise ValueError(f"/seed {text or 'S'}: a whole number from 0 to {MAX_SEED}")
    return Typed("seed", {"seed": int(text)})


def _lora(text: str) -> Typed:
    try:
        found = parse_lora(text)
    except ValueError:
        found = None
    if found is None or found.when is not None:
        raise ValueError(f"/lora {text}".rstrip() + ": expected /lora NAME=STRENGTH, from 0 to 2")
    return Typed("lora", {"loras": {found.name: found.strength}})


def _number(text: str, called: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ValueError(f"{called} {text or 'X'}: a number from 0 to {most:g}")
    return number


def _alone(word: str) -> Callable[[str], Typed]:
    def parse(text: str) -> Typed:
        if text:
            raise ValueError(f"/{word} stands alone; type {text!r} by itself")
        return Typed(word)

    return parse


def _save(text: str) -> Typed:
    if _URL.match(text):
        raise ValueError(f"{text}: /save writes files")
    if not text.lower().endswith(".json"):
        raise ValueError("/save needs a name that ends in .json, such as /save kept.json")
    return Typed("save", name=text)


@dataclass(frozen=True, slots=True)
class _Command:
    argument: str
    about: str
    parse: Callable[[str], Typed]


COMMANDS = {
    "strength": _Command("X", "how far frames may leave the input, 0 to 1", _strength),
    "lora": _Command("NAME=X", "how strong an adapter of the worker's is, 0 to 2", _lora),
    "seed": _Command("S", f"start over with this seed, 0 to {MAX_SEED}", _seed),
    "reset": _Command("", "start over with the latest values", _alone("reset")),
    "record": _Command(
        "x.mp4",
        "record into a file beside; /record alone ends that",
        lambda text: Typed("record", name=text),
    ),
    "save": _Command("x.json", "keep what was streamed so far, for --timeline x.json", _save),
    "end": _Command("", "end the stream after the block under way", _alone("end")),
    "help": _Command("", "list this", _alone("help")),
}
