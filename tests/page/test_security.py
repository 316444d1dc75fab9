"""What the page lets in, and what of it others get: nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright, expect
from support.browser import chromium
from support.pages.driver import driven
from support.servers.stand_in import tcp_server
from support.servers.worker_server import serving

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=window.owned=1><script>window.owned=1</script>{{7*7}}"
STREAM = {"width": 320, "height": 192, "fps": 16, "blocks": 1000}
JWT = {"auth": "jwt", "secret": "a secret of more than thirty-two bytes", "key": "id:key"}
TAKE = """
async (target) => {
  const answer = async (url, options) => {
    try { return await (await fetch(url, options)).text(); } catch { return "unreadable"; }
  };
  const socket = new WebSocket(target.replace("http", "ws") + "/ws");
  const heard = await new Promise((resolve) => {
    socket.onmessage = ({ data }) => resolve(String(data));
    socket.onerror = () => resolve("no socket");
  });
  return [
    await answer(target + "/api/fal", { method: "POST" }),
    await answer(target + "/page.json"),
    heard,
  ];
}
"""


async def test_a_prompt_never_becomes_markup(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, **STREAM)
        await page.fill("Prompt", MARKUP)
        await page.start()
        await expect(page.page.locator("#strip .words")).to_have_text(MARKUP)
        assert await page.page.evaluate("window.owned") is None
        assert page.from_elsewhere(worker.http) == []


async def test_the_policy_stops_what_the_page_does_not_do(browser: Browser) -> None:
    """No script or style inline, no eval, nothing from or to elsewhere."""
    attempts = """
    () => new Promise((resolve) => {
      const stopped = new Set();
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        stopped.add(effectiveDirective);
        if (stopped.size === 5) resolve([...stopped].sort());
      });
      const script = document.createElement("script");
      script.textContent = "window.owned = 1";
      document.body.append(script);
      document.body.setAttribute("onclick", "window.owned = 1");
      document.body.setAttribute("style", "color: red");
      const image = new Image();
      image.src = "http://127.0.0.1:9/x.png";
      fetch("http://127.0.0.1:9/").catch(() => {});
    })
    """
    async with serving() as worker, driven(browser, quiet=False) as page:
        await page.open(worker.http, **STREAM)
        assert await page.page.evaluate(attempts) == [
            "connect-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr",
        ]  # fmt: skip
        assert await page.page.evaluate("window.owned") is None


@asynccontextmanager
async def other_site() -> AsyncIterator[int]:
    """A web server with an empty page."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        await writer.drain()

    async with tcp_server(answer) as port:
        yield port


@pytest.mark.parametrize("settings", [{}, JWT], ids=["none", "jwt"])
async def test_a_page_of_another_site_gets_no_token_and_no_stream(
    settings: dict[str, str],
) -> None:
    """Its name leads to this machine, so that nothing but Host and Origin tell it apart."""
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", rules]
        )
        try:
            async with (
                serving(**settings) as worker,
                other_site() as port,
                driven(browser, quiet=False) as page,
            ):
                await page.page.goto(f"http://evil.example:{port}/")
                token, described, heard = await page.page.evaluate(TAKE, worker.http)
                assert (token, described) == ("unreadable", "unreadable")
                assert "UNAUTHORIZED" in heard
                answer = await page.page.goto(f"http://evil.example:{worker.port}/")
                assert answer is not None and answer.status == 403
        finally:
            await browser.close()
