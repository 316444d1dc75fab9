"""The command line's grammar of adapters' strengths."""

import pytest

from framewire.client.commands.lora_option import at_start, later, parse_lora


def test_strengths_from_the_start_and_later() -> None:
    planned = [parse_lora(text) for text in ("gold=0.8", "stage=0", "4b:gold=0.2", "1.5s:stage=2")]
    assert at_start(planned) == {"gold": 0.8, "stage": 0.0}
    assert [(cue.at, cue.unit, dict(cue.values), str(cue)) for cue in later(planned, 16)] == [
        (4, "b", {"loras": {"gold": 0.2}}, "4b"),
        (24, "f", {"loras": {"stage": 2.0}}, "1.5s"),
    ]


@pytest.mark.parametrize("text", ["gold", "gold=3", "gold=-1", "=1", "gold=much", "4b:gold"])
def test_what_is_no_strength_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME=STRENGTH or 4b:NAME=STRENGTH"):
        parse_lora(text)
