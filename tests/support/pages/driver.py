"""The worker's page in a real Chromium, as a user sees it: labels, words and pixels."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

PATIENCE = 60_000.0
"""Milliseconds for what takes a second on an idle machine."""
expect.set_options(timeout=PATIENCE)
DESKTOP = {"width": 1440, "height": 900}

_COLOUR_OF = """
(canvas, [x, y, w, h]) => {
  const copy = new OffscreenCanvas(canvas.width || canvas.naturalWidth, canvas.height || canvas.naturalHeight);
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const part = [x * copy.width, y * copy.height, w * copy.width, h * copy.height].map(Math.round);
  const { data } = context.getImageData(...part);
  const sum = [0, 0, 0];
  for (let at = 0; at < data.length; at += 4) for (let c = 0; c < 3; c += 1) sum[c] += data[at + c];
  return sum.map((value) => value / (data.length / 4));
}
"""
_SHARE_OF = """
(canvas, [colour, most]) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if ([0, 1, 2].every((c) => Math.abs(data[at + c] - colour[c]) <= most)) count += 1;
  }
  return count / (data.length / 4);
}
"""
_HAS_SHARE = f"([colour, most, share]) => ({_SHARE_OF})(document.querySelector('canvas'), [colour, most]) >= share"


@dataclass
class Driver:
    """One tab with the page.

    Attributes:
        noise: what the console said, and errors that nobody caught.
        requests: every URL that was asked for.
    """

    page: Page
    noise: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self.noise.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.set_default_timeout(PATIENCE)

    async def open(self, url: str, **settings: Any) -> None:
        """Load it, with settings in the address, and wait until it can be used."""
        values = "&".join(f"{name}={value}" for name, value in settings.items())
        await self.page.goto(f"{url}/#{values}" if values else f"{url}/")
        await self.page.wait_for_selector("body[data-ready]")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    async def click(self, name: str) -> None:
        await self.button(name).click()

    async def fill(self, label: str, value: object) -> None:
        await self.page.get_by_label(label).fill(str(value))

    async def mode(self, name: str) -> None:
        """Choose a mode as a keyboard does: the radio itself lies under its label."""
        await self.page.get_by_role("radio", name=name).check()

    async def start(self) -> None:
        """START, and wait for the first frame on the canvas."""
        await self.click("Start")
        await self.until_state("streaming", "completed")
        await self.until("() => !document.querySelector('#still').disabled")

    async def until(self, condition: str, argument: Any = None) -> None:
        """Wait for a function of the page's; looked at by a timer, which runs in hidden tabs too."""
        await self.page.wait_for_function(condition, arg=argument, polling=50)

    async def until_state(self, *names: str) -> None:
        await self.until("(names) => names.includes(document.body.dataset.state)", list(names))

    async def state(self) -> str:
        return str(await self.page.evaluate("document.body.dataset.state"))

    async def until_message(self, words: str) -> None:
        await expect(self.page.get_by_role("alert")).to_contain_text(words)

    async def shows(self, element_id: str) -> str:
        """What stands in an element."""
        return await self.page.locator(f"#{element_id}").inner_text()

    async def number(self, element_id: str) -> int:
        """The first number in an element."""
        found = re.search(r"\d+", await self.shows(element_id))
        assert found is not None
        return int(found[0])

    @property
    def output(self) -> Locator:
        return self.page.locator("canvas").first

    async def colour(
        self, x: float = 0.0, y: float = 0.0, width: float = 1.0, height: float = 1.0
    ) -> list[float]:
        """The mean colour of a part of the output; all in shares of its size."""
        return list(await self.output.evaluate(_COLOUR_OF, [x, y, width, height]))

    async def colour_of(self, picture: Locator) -> list[float]:
        """The mean colour of an image's middle, once it is decoded."""
        await picture.evaluate("(image) => image.decode()")
        return list(await picture.evaluate(_COLOUR_OF, [0.2, 0.2, 0.6, 0.6]))

    async def until_coloured(
        self, colour: tuple[int, int, int], share: float = 0.02, within: int = 24
    ) -> None:
        """Wait until so much of the output has this colour."""
        await self.until(_HAS_SHARE, [list(colour), within, share])

    def from_elsewhere(self, origin: str) -> list[str]:
        """Requests that did not go to this origin."""
        here = urlsplit(origin).netloc
        return [
            url
            for url in self.requests
            if not url.startswith(("blob:", "data:")) and urlsplit(url).netloc != here
        ]


@asynccontextmanager
async def driven(
    browser: Browser, *, scripts: tuple[str, ...] = (), quiet: bool = True, **options: Any
) -> AsyncIterator[Driver]:
    """A tab of its own.

    Args:
        scripts: run before the page's own.
        quiet: fail where the console said anything.
    """
    context: BrowserContext = await browser.new_context(**({"viewport": DESKTOP} | options))
    try:
        for script in scripts:
            await context.add_init_script(script)
        driver = Driver(await context.new_page())
        yield driver
        if quiet:
            assert driver.noise == [], driver.noise
    finally:
        await context.close()
