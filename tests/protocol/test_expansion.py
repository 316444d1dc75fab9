"""What is asked of a language model, and what counts as a prompt in its answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framewire.protocol.expansion import (
    ExpansionError,
    chat_url,
    expanded_prompt,
    request_body,
    request_headers,
)
from framewire.protocol.limits import MAX_PROMPT_CHARS


def saying(content: Any, **choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}} | choice]}).encode()


def test_the_request_names_model_and_prompt_and_tells_what_a_prompt_is_made_of() -> None:
    body = request_body("a fox", "small")
    system, user = body["messages"]
    assert body["model"] == "small" and user == {"role": "user", "content": "a fox"}
    assert system["role"] == "system"
    for word in ("subject", "setting", "motion", "camera", "without a cut"):
        assert word in system["content"]


def test_the_key_is_in_one_header_and_absent_where_there_is_none() -> None:
    assert request_headers("k1")["Authorization"] == "Bearer k1"
    assert "Authorization" not in request_headers("")
    assert "k1" not in json.dumps(request_body("a fox", "small"))


@pytest.mark.parametrize("base", ["http://h/v1", "http://h/v1/"])
def test_the_chat_call_is_below_the_base(base: str) -> None:
    assert chat_url(base) == "http://h/v1/chat/completions"


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (" a red fox \n", "a red fox"),
        ("A fox.\n\nIt runs.", "A fox. It runs."),
        ('"A fox runs."', "A fox runs."),
        ("“A fox runs.”", "A fox runs."),
        ('"A fox" meets "a bear"', '"A fox" meets "a bear"'),
        ("<think>The user wants\na fox.</think>\n\nA red fox.", "A red fox."),
        ("a \x1b[31mred\x07 fox\u202e", "a [31mred fox"),
        ("a fox \ud800", "a fox"),
        ("x" * 9000, "x" * MAX_PROMPT_CHARS),
        ("狐が雪の中を走る", "狐が雪の中を走る"),
    ],
)
def test_a_prompt_is_one_line_without_what_models_wrap_around_it(content: str, prompt: str) -> None:
    assert expanded_prompt(200, saying(content)) == prompt


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"secret words", "answered HTTP 401"),
        (500, saying("a fox"), "answered HTTP 500"),
        (302, b"", "sends on elsewhere .HTTP 302., not followed"),
        (200, b"", "without a prompt"),
        (200, b"\xff\xfe", "without a prompt"),
        (200, b"[" * 50_000, "without a prompt"),
        (200, b'{"choices": []}', "without a prompt"),
        (200, b'{"choices": {}}', "without a prompt"),
        (200, b'{"choices": [{"message": "a fox"}]}', "without a prompt"),
        (200, saying(None), "without a prompt"),
        (200, saying(["a fox"]), "without a prompt"),
        (200, saying(" \n"), "an empty prompt"),
        (200, saying('""'), "an empty prompt"),
        (200, saying("<think>hm</think>"), "an empty prompt"),
        (200, saying("<think>The user wants a prompt. I should"), "thoughts alone"),
        (200, saying("I cannot", finish_reason="content_filter"), "refused this prompt"),
        (200, saying(None, message={"refusal": "no", "content": None}), "refused this prompt"),
    ],
)
def test_what_is_no_prompt_is_an_error_in_one_line_that_repeats_nothing(
    status: int, body: bytes, says: str
) -> None:
    with pytest.raises(ExpansionError, match=says) as caught:
        expanded_prompt(status, body)
    assert "\n" not in str(caught.value) and "secret words" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["choices", "message", "content"]), inner, max_size=3),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_a_prompt_or_an_error(body: bytes) -> None:
    try:
        prompt = expanded_prompt(200, body)
    except ExpansionError:
        return
    assert prompt.strip() == prompt != "" and prompt.isprintable()
