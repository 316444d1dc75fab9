"""The fuzzing corpus as a test: every input in it gets a message or a typed error."""

from pathlib import Path

import pytest
from support.codec_target import one_input

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_of_the_corpus_raises_nothing_but_the_typed_error(path: Path) -> None:
    one_input(path.read_bytes())


def test_the_corpus_is_small() -> None:
    assert 20 <= len(CORPUS) <= 200
    assert sum(path.stat().st_size for path in CORPUS) <= 64_000
