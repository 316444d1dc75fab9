"""Prompt expansion: a short prompt made longer by a language model, without I/O.

What is asked of an OpenAI-compatible chat endpoint, and what its answer says. Client and worker
each send it; which endpoint that is, is theirs to know.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .limits import MAX_PROMPT_CHARS

SECONDS = 30.0
"""That an answer may take."""
MAX_ANSWER_BYTES = 64 * 1024
"""Of an answer: one that is longer is no prompt."""
_MAX_TOKENS = 1024
_TASK = """\
You write prompts for a model that makes video as one long take and never stops. You are given a \
short idea. Rewrite it as one paragraph of 60 to 100 words in plain present tense, and answer with \
that paragraph alone: no title, no list, no quotation marks, no remarks.

Keep all that the idea names, and its meaning. Write, in this order:
1. the subject: who or what is seen, with shape, colour and material;
2. the setting: where it is, what surrounds it, the light and the weather;
3. the motion: what moves, where to and how fast. Choose motion that can go on without an end, such \
as walking, drifting, flowing, turning;
4. the camera: one shot without a cut; where it stands and how it slowly follows, circles or stays.

Name only what can be seen. No story, no thoughts, no sounds, no written words, no cut, no change \
of scene. Where the idea names a style or a language other than English, keep the style and write \
in English."""
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»", "`": "`"}


class ExpansionError(Exception):
    """The endpoint gave no prompt; the message is one line, and repeats nothing that was sent."""


def chat_url(base: str) -> str:
    """Where to `POST`, from an endpoint's base URL, such as `https://HOST/v1`."""
    return f"{base.rstrip('/')}/chat/completions"


def request_headers(key: str) -> dict[str, str]:
    """What goes with the request; without `Authorization` where there is no key."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    return headers | ({"Authorization": f"Bearer {key}"} if key else {})


def request_body(prompt: str, model: str) -> dict[str, Any]:
    """What is asked, as JSON."""
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": prompt}]
    return {"model": model, "messages": messages, "max_tokens": _MAX_TOKENS}


def expanded_prompt(status: int, body: bytes) -> str:
    """The prompt in an answer: one line, at most 8192 characters.

    Raises:
        ExpansionError: the answer is no success, refuses, or has no prompt in it.
    """
    if 300 <= status < 400:
        raise ExpansionError(f"prompt expansion sends on elsewhere (HTTP {status}), not followed")
    if not 200 <= status < 300:
        raise ExpansionError(f"prompt expansion answered HTTP {status}")
    try:
        choice = json.loads(body)["choices"][0]
        message = choice["message"]
        if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
            raise ExpansionError("prompt expansion refused this prompt")
        content = message["content"]
        if not isinstance(content, str):
            raise TypeError
        prompt = _as_prompt(content)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ExpansionError("prompt expansion answered without a prompt") from None
    if not prompt:
        raise ExpansionError("prompt expansion answered with an empty prompt")
    return prompt


def _as_prompt(content: str) -> str:
    """What a model wrote, without its thoughts, the quotes around it and what is no text."""
    text = "".join(letter if letter.isprintable() else " " for letter in content)
    text = " ".join(_THOUGHTS.sub("", text).split())
    if text.startswith("<think>"):
        raise ExpansionError("prompt expansion answered with thoughts alone")
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text[:MAX_PROMPT_CHARS].rstrip()
