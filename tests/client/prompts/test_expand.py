"""The client's way to a language model: its key is for nobody else, and failures have one type."""

import asyncio
import logging
import traceback

import pytest
from support.servers.language_model import language_model, saying
from support.servers.proxies import http_proxy

from framewire.client import PlaintextError, PromptError, expand_prompt
from framewire.client.credentials import ExpansionEndpoint, expansion_from_env
from framewire.client.prompts import expand as module

KEY = "e1-secret"


def endpoint(url: str, key: str = KEY) -> ExpansionEndpoint:
    return ExpansionEndpoint(url, "small", key)


async def test_the_prompt_comes_from_the_endpoint_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the variables that a worker reads, too."""
    async with language_model(saying("a red fox trots through snow")) as model:
        monkeypatch.setenv("FRAMEWIRE_EXPANSION_URL", f"{model.url}/ ")
        monkeypatch.setenv("FRAMEWIRE_EXPANSION_KEY", KEY)
        monkeypatch.setenv("FRAMEWIRE_EXPANSION_MODEL", "small")
        assert await expand_prompt("a fox") == "a red fox trots through snow"
    (head,), (asked,) = model.heads, model.asked
    assert head.startswith("post /v1/chat/completions ")
    assert f"authorization: bearer {KEY}" in head
    assert asked["model"] == "small" and asked["messages"][-1]["content"] == "a fox"


async def test_without_a_key_none_is_sent() -> None:
    async with language_model(saying("a red fox")) as model:
        await expand_prompt("a fox", endpoint(model.url, ""))
    assert "authorization" not in model.heads[0]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (KEY.encode(), "401 Unauthorized", "answered HTTP 401"),
        (saying("no", finish_reason="content_filter"), "200 OK", "refused this prompt"),
        (b"nonsense", "200 OK", "without a prompt"),
        (b"x" * 70_000, "200 OK", "more than 65536 bytes"),
    ],
)
async def test_a_failure_is_told_without_the_key(
    body: bytes, status: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in its words, nor in what hangs on it, nor in a log."""
    caplog.set_level(logging.DEBUG)
    async with language_model(body, status=status) as model:
        with pytest.raises(PromptError, match=says) as caught:
            await expand_prompt("a fox", endpoint(model.url))
    told = "".join(traceback.format_exception(caught.value)) + repr(endpoint(model.url))
    assert KEY not in told and KEY not in caplog.text
    assert caught.value.code == "PROMPT" and caught.value.__cause__ is None


async def test_an_endpoint_that_says_nothing_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    async with language_model(None) as model:
        with pytest.raises(PromptError, match="cannot be reached: ReadTimeout"):
            await expand_prompt("a fox", endpoint(model.url))


async def test_a_redirect_is_not_followed_and_takes_the_key_nowhere() -> None:
    async with language_model(saying("a trap")) as other:
        location = f"Location: {other.url}/chat/completions\r\n"
        for status in ("302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            async with language_model(b"", status=status, head=location) as model:
                with pytest.raises(PromptError, match="sends on elsewhere"):
                    await expand_prompt("a fox", endpoint(model.url))
    assert other.heads == []


async def test_an_endpoint_on_this_machine_is_reached_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with language_model(saying("a red fox")) as model, http_proxy() as proxy:
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await expand_prompt("a fox", endpoint(model.url)) == "a red fox"
    assert proxy.asked == []


async def test_the_key_goes_to_another_machine_only_with_tls() -> None:
    with pytest.raises(PlaintextError, match=r"the key for prompts would go to llm\.example"):
        await expand_prompt("a fox", endpoint("http://llm.example/v1"))


async def test_an_endpoint_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(PromptError, match="cannot be reached") as caught:
        await expand_prompt("a fox", endpoint("http://me:hidden@127.0.0.1:9/v1"))
    assert "hidden" not in str(caught.value)


async def test_a_caller_who_gives_up_leaves_nothing_behind() -> None:
    async with language_model(None) as model:
        task = asyncio.create_task(expand_prompt("a fox", endpoint(model.url)))
        await asyncio.wait_for(model.came.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("url", ["llm.example/v1", "ftp://llm.example", "http://", "http://h:x/v1"])
def test_what_is_no_url_is_told_and_not_repeated(url: str) -> None:
    with pytest.raises(PromptError, match=r"no URL .*127\.0\.0\.1:11434"):
        endpoint(url)


@pytest.mark.parametrize("key", ["a\nb", "ключ"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(PromptError, match="no header can carry") as caught:
        endpoint("https://llm.example/v1", key)
    assert key not in str(caught.value)


def test_without_an_endpoint_the_variables_are_named() -> None:
    with pytest.raises(PromptError, match="FRAMEWIRE_EXPANSION_URL"):
        expansion_from_env({"FRAMEWIRE_EXPANSION_URL": " "})
