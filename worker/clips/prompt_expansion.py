"""Prompt expansion by a language model that the operator configures: the way there and back.

What is asked and what an answer says is in `protocol.expansion`.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from framewire.protocol import is_loopback
from framewire.protocol.expansion import (
    MAX_ANSWER_BYTES,
    SECONDS,
    ExpansionError,
    chat_url,
    expanded_prompt,
    request_body,
    request_headers,
)
from framewire.worker.config import Config


class ExpansionOff(RuntimeError):
    """No endpoint is configured."""


async def expand_prompt(config: Config, prompt: str) -> str:
    """`prompt` with more detail and the same meaning.

    Raises:
        ExpansionOff: the operator has configured no endpoint.
        ExpansionError: it did not answer with a prompt; one line for the caller.
    """
    if not config.expansion_url:
        raise ExpansionOff(
            "prompt expansion is not configured on this worker, so the prompt is used as it is: its "
            "operator can set FRAMEWIRE_EXPANSION_URL, FRAMEWIRE_EXPANSION_KEY and "
            "FRAMEWIRE_EXPANSION_MODEL"
        )
    try:
        async with asyncio.timeout(SECONDS):
            status, body = await _answer(config, prompt)
    except TimeoutError:
        raise ExpansionError(f"prompt expansion gave no answer within {SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # From None: the chained request holds the key.
        raise ExpansionError(f"prompt expansion failed: {type(error).__name__}") from None
    except ImportError:
        raise ExpansionError(
            "prompt expansion failed: the worker's proxy needs a package: pip install 'httpx[socks]'"
        ) from None
    except ValueError:  # of a proxy's URL, which may hold a password
        raise ExpansionError("prompt expansion failed: its way there cannot be used") from None
    return expanded_prompt(status, body)


async def _answer(config: Config, prompt: str) -> tuple[int, bytes]:
    """The status and the body, which counts as it comes. No redirect is followed."""
    here = is_loopback(urlsplit(config.expansion_url).hostname)  # which no proxy is to see
    tls = await asyncio.to_thread(httpx.create_ssl_context)
    body = bytearray()
    async with (
        httpx.AsyncClient(timeout=SECONDS, verify=tls, trust_env=not here) as client,
        client.stream(
            "POST",
            chat_url(config.expansion_url),
            json=request_body(prompt, config.expansion_model),
            headers=request_headers(config.expansion_key),
        ) as response,
    ):
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise ExpansionError(
                    f"prompt expansion answered more than {MAX_ANSWER_BYTES} bytes"
                )
    return response.status_code, bytes(body)
