"""The way to the endpoint that expands prompts: its key is for nobody else."""

import asyncio
import json
import sys
from typing import Any

import pytest
from support.servers.proxies import http_proxy
from support.servers.stand_in import tcp_server

from framewire.protocol.expansion import ExpansionError
from framewire.worker.clips.prompt_expansion import expand_prompt
from framewire.worker.config import Config, ConfigError

SETTINGS: dict[str, Any] = {"expansion_key": "e1-secret", "expansion_model": "small"}


async def expander(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    said = json.dumps({"choices": [{"message": {"content": "a red circle at dawn"}}]})
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode())
    await writer.drain()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_an_endpoint_on_this_machine_is_reached_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    async with tcp_server(expander) as port, http_proxy() as proxy:
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{proxy.port}")
        config = Config(expansion_url=f"http://127.0.0.1:{port}/v1", **SETTINGS)
        assert await expand_prompt(config, "a circle") == "a red circle at dawn"
    assert proxy.asked == []


async def test_a_proxy_whose_package_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ExpansionError, match=r"pip install 'httpx\[socks\]'"):
        await expand_prompt(Config(expansion_url="https://llm.example/v1"), "a circle")


def test_its_key_goes_to_another_machine_in_clear_only_where_that_is_allowed() -> None:
    with pytest.raises(ConfigError, match="--allow-plaintext"):
        Config(expansion_url="http://llm.example/v1", **SETTINGS)
    for url in ("https://llm.example/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        Config(expansion_url=url, **SETTINGS)
    Config(expansion_url="http://llm.example/v1", allow_plaintext=True, **SETTINGS)
    Config(expansion_url="http://llm.example/v1")
