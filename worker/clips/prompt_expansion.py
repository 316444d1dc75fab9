"""Prompt expansion: a short prompt made longer by a language model that the operator configures.

Speaks the chat call of OpenAI-compatible endpoints and knows no particular one.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from framewire.protocol import is_loopback
from framewire.protocol.limits import MAX_PROMPT_CHARS
from framewire.worker.config import Config

EXPANSION_SECONDS = 30.0
_TASK = (
    "You write prompts for a text-to-video model. Rewrite the user's prompt as one paragraph of "
    "at most 80 words: keep its meaning, and add what a camera would see (subject, setting, "
    "light, motion, framing). Answer with the prompt alone."
)


class ExpansionOff(RuntimeError):
    """No endpoint is configured."""


class ExpansionFailed(RuntimeError):
    """The endpoint gave no prompt; the message is one line for the caller."""


async def expand_prompt(config: Config, prompt: str) -> str:
    """`prompt` with more detail and the same meaning.

    Raises:
        ExpansionOff: the operator has configured no endpoint.
        ExpansionFailed: it did not answer with a prompt.
    """
    if not config.expansion_url:
        raise ExpansionOff(
            "prompt expansion is not configured on this worker, so the prompt is used as it is: its "
            "operator can set FRAMEWIRE_EXPANSION_URL, FRAMEWIRE_EXPANSION_KEY and "
            "FRAMEWIRE_EXPANSION_MODEL"
        )
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": prompt}]
    headers = {"Authorization": f"Bearer {config.expansion_key}"} if config.expansion_key else {}
    try:
        here = is_loopback(urlsplit(config.expansion_url).hostname)  # which no proxy is to see
        tls = await asyncio.to_thread(httpx.create_ssl_context)
        async with httpx.AsyncClient(
            timeout=EXPANSION_SECONDS, verify=tls, trust_env=not here
        ) as client:
            response = await client.post(
                f"{config.expansion_url.rstrip('/')}/chat/completions",
                json={"model": config.expansion_model, "messages": messages, "max_tokens": 300},
                headers=headers,
            )
            response.raise_for_status()
            expanded = response.json()["choices"][0]["message"]["content"].strip()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise ExpansionFailed(f"prompt expansion answered HTTP {status}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # From None: the chained request holds the key.
        raise ExpansionFailed(f"prompt expansion failed: {type(error).__name__}") from None
    except ImportError:
        raise ExpansionFailed(
            "prompt expansion failed: the worker's proxy needs a package: pip install 'httpx[socks]'"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ExpansionFailed("prompt expansion answered without a prompt") from None
    if not expanded:
        raise ExpansionFailed("prompt expansion answered with an empty prompt")
    return str(expanded)[:MAX_PROMPT_CHARS]
