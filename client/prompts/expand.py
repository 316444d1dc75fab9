"""A short prompt made longer by a language model of the caller's choice.

What is asked and what an answer says is in `protocol.expansion`; here is the way there.
"""

from __future__ import annotations

import httpx

from framewire.client.address import redact
from framewire.client.credentials import ExpansionEndpoint, expansion_from_env
from framewire.client.errors import PromptError
from framewire.client.limits.answer import whole_answer
from framewire.client.routes import hint_for, http_client, refuse_plaintext, way
from framewire.protocol.expansion import (
    SECONDS,
    ExpansionError,
    chat_url,
    expanded_prompt,
    request_body,
    request_headers,
)


async def expand_prompt(
    prompt: str, endpoint: ExpansionEndpoint | None = None, *, allow_plaintext: bool = False
) -> str:
    """`prompt` with more detail and the same meaning, as one line.

    Args:
        endpoint: that of the environment (`FRAMEWIRE_EXPANSION_URL`, `_KEY` and `_MODEL`), where
            none is given.
        allow_plaintext: its key may go to another machine without TLS.

    Raises:
        PromptError: there is no endpoint, or it gave no prompt.
        PlaintextError: the key would go there in clear, and that is not allowed.
        ConnectError: the proxy to it cannot be used.
    """
    endpoint = endpoint or expansion_from_env()
    check_way(endpoint, allow_plaintext=allow_plaintext)
    url = chat_url(endpoint.url)
    try:
        async with http_client(url, timeout=SECONDS) as client:
            answer = await whole_answer(
                client,
                "POST",
                url,
                seconds=SECONDS,
                json=request_body(prompt, endpoint.model),
                headers=request_headers(endpoint.key),
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # From None: httpx's request object, headers and all, hangs on its exceptions.
        said = f"{type(error).__name__} {redact(str(error))}".strip()
        where = f"the endpoint for prompts {redact(endpoint.url)}"
        raise PromptError(
            f"{where} cannot be reached{way(url)}: {said}", hint=hint_for(url, error)
        ) from None
    try:
        return expanded_prompt(answer.status_code, answer.content)
    except ExpansionError as error:
        raise PromptError(str(error)) from None


def check_way(endpoint: ExpansionEndpoint, *, allow_plaintext: bool) -> None:
    """Refuse to send the key where others could read it.

    Raises:
        PlaintextError: they could.
    """
    if endpoint.key:
        refuse_plaintext(endpoint.url, "the key for prompts", allowed=allow_plaintext)
