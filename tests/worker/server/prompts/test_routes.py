"""`POST /prompt/expand` on the real worker: who may ask, how often, and what a failure says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from support.servers.language_model import LanguageModel, language_model, saying
from support.servers.worker_server import PATIENCE, Running, serving

LONG = "a red fox trots through snow"
KEY = "e1-secret"
OPEN = {"Authorization": "Key k1"}


@pytest.fixture
async def model() -> AsyncIterator[LanguageModel]:
    async with language_model(saying(LONG)) as running:
        yield running


def settings(model: LanguageModel, **more: Any) -> dict[str, Any]:
    return {"expansion_url": model.url, "expansion_key": KEY, "expansion_model": "small"} | more


async def ask(worker: Running, body: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as client:
        url = f"{worker.http}/prompt/expand"
        answer = await client.post(url, json=body, headers=headers)
    assert KEY not in answer.text
    return answer


async def test_the_page_gets_the_prompt_and_what_it_was(model: LanguageModel) -> None:
    async with serving(**settings(model)) as worker:
        answer = await ask(worker, {"prompt": "a fox"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"prompt": LONG, "original": "a fox"}
    assert f"bearer {KEY}" in model.heads[0] and model.asked[0]["model"] == "small"


async def test_without_a_token_nobody_spends_the_operators_money(model: LanguageModel) -> None:
    async with serving(**settings(model, auth="jwt", key="k1")) as worker:
        for headers in ({}, {"Authorization": "Key wrong"}, {"Authorization": "Bearer x.y.z"}):
            assert (await ask(worker, {"prompt": "a fox"}, **headers)).status_code == 401
        assert model.heads == []
        assert (await ask(worker, {"prompt": "a fox"}, **OPEN)).status_code == 200


async def test_pages_of_other_sites_may_not_ask(model: LanguageModel) -> None:
    async with serving(**settings(model)) as worker:
        answer = await ask(worker, {"prompt": "a fox"}, Origin="https://evil.example")
    assert answer.status_code == 401 and model.heads == []


@pytest.mark.parametrize("body", [{}, {"prompt": " "}, {"prompt": 7}, {"prompt": "x" * 8193}, []])
async def test_what_is_no_prompt_is_refused_by_name(model: LanguageModel, body: Any) -> None:
    async with serving(**settings(model)) as worker:
        answer = await ask(worker, body)
    assert answer.status_code == 422 and model.heads == []
    assert answer.json()["detail"][0]["loc"][0] == "body"


async def test_a_body_that_is_too_large_is_cut_off(model: LanguageModel) -> None:
    async with serving(**settings(model)) as worker:
        assert (await ask(worker, {"prompt": "x" * 200_000})).status_code == 413


async def test_a_worker_without_an_endpoint_says_how_to_name_one() -> None:
    async with serving() as worker:
        answer = await ask(worker, {"prompt": "a fox"})
    assert answer.status_code == 501 and "FRAMEWIRE_EXPANSION_URL" in answer.text


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", "401 Unauthorized", "HTTP 401"),
        (b"nonsense", "200 OK", "without a prompt"),
        (b"x" * 70_000, "200 OK", "more than 65536 bytes"),
        (saying("no", finish_reason="content_filter"), "200 OK", "refused this prompt"),
    ],
)
async def test_an_endpoint_that_fails_is_a_bad_gateway(body: bytes, status: str, says: str) -> None:
    async with language_model(body, status=status) as model, serving(**settings(model)) as worker:
        answer = await ask(worker, {"prompt": "a fox"})
    assert answer.status_code == 502 and says in answer.json()["detail"]


async def test_a_redirect_takes_the_key_nowhere(model: LanguageModel) -> None:
    location = f"Location: {model.url}/chat/completions\r\n"
    async with (
        language_model(b"", status="307 Temporary Redirect", head=location) as first,
        serving(**settings(first)) as worker,
    ):
        answer = await ask(worker, {"prompt": "a fox"})
    assert answer.status_code == 502 and model.heads == []


async def test_an_endpoint_that_says_nothing_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framewire.worker.clips.prompt_expansion.SECONDS", 0.2)
    async with language_model(None) as model, serving(**settings(model)) as worker:
        answer = await ask(worker, {"prompt": "a fox"})
    assert answer.status_code == 502 and "prompt expansion" in answer.json()["detail"]


async def test_an_address_has_so_many_a_minute(model: LanguageModel) -> None:
    """Counted as the proxy in front says who calls; another address is untouched."""
    async with serving(**settings(model, caller_expansions=2)) as worker:
        one, other = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
        codes = [(await ask(worker, {"prompt": "a fox"}, **one)).status_code for _ in range(3)]
        last = await ask(worker, {"prompt": "a fox"}, **one)
        assert codes == [200, 200, 429]
        assert "2 prompts expanded within a minute" in last.text and last.headers["Retry-After"]
        assert (await ask(worker, {"prompt": "a fox"}, **other)).status_code == 200
    assert len(model.heads) == 3


async def test_all_callers_together_have_so_many_at_once() -> None:
    """And a place that a caller leaves is free again."""
    async with language_model(None) as model, serving(**settings(model)) as worker:
        waiting = [asyncio.create_task(ask(worker, {"prompt": "a fox"})) for _ in range(4)]
        async with asyncio.timeout(PATIENCE):
            while len(model.heads) < 4:
                model.came.clear()
                await model.came.wait()
        assert (await ask(worker, {"prompt": "a fox"})).status_code == 429
        model.body = saying(LONG)
        model.let_go.set()
        for answer in await asyncio.gather(*waiting):
            assert answer.status_code == 502
        assert (await ask(worker, {"prompt": "a fox"})).status_code == 200
