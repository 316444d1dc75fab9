"""What a typed line asks for, and what is said of one that asks for nothing that there is."""

import pytest

from framewire.client.commands.typed.line import (
    COMMANDS,
    Typed,
    help_text,
    parse_line,
    without_secrets,
)


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("", None),
        ("   ", None),
        (" a red fox ", Typed("prompt", {"prompt": "a red fox"})),
        ("/strength 0.6", Typed("strength", {"strength": 0.6})),
        ("/seed 5", Typed("seed", {"seed": 5})),
        ("/reset", Typed("reset")),
        ("/lora gold=0.8", Typed("lora", {"loras": {"gold": 0.8}})),
        ("/record my film.mp4", Typed("record", name="my film.mp4")),
        ("/record", Typed("record")),
        ("/save x.json", Typed("save", name="x.json")),
        ("/end", Typed("end")),
        ("/help", Typed("help")),
    ],
)
def test_a_line_is_a_prompt_or_a_command(line: str, typed: Typed | None) -> None:
    assert parse_line(line) == typed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/strength 7", "/strength 7: a number from 0 to 1"),
        ("/strength nan", "/strength nan: a number from 0 to 1"),
        ("/strength", "/strength X: a number from 0 to 1"),
        ("/seed -1", "/seed -1: a whole number from 0 to 16777216"),
        ("/seed 16777217", "a whole number from 0 to 16777216"),
        ("/lora gold", "expected /lora NAME=STRENGTH, from 0 to 2"),
        ("/lora 4b:gold=1", "expected /lora NAME=STRENGTH, from 0 to 2"),
        ("/save kept", "a name that ends in .json"),
        ("/reset a fox", "/reset stands alone"),
        ("/prompt a fox", "there is no /prompt; /help lists what there is"),
        ("rtsp://joe:s3cr3t@host/x", "an address is no prompt"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(line: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_line(line)
    assert said in str(caught.value)


def test_help_lists_every_command() -> None:
    assert all(f"/{word}" in help_text() for word in COMMANDS)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("/record rtmp://joe:pw@host/app/key", "/record rtmp://…@host/app/…"),
        ("rtmp://host/app/key: is a sink", "rtmp://host/app/…: is a sink"),
        ("rtsp://joe:pw@cam/x?token=y and more", "rtsp://…@cam/x?… and more"),
        ("a fox at 16:9", "a fox at 16:9"),
    ],
)
def test_addresses_are_kept_and_shown_without_what_is_secret_in_them(line: str, seen: str) -> None:
    assert without_secrets(line) == seen
