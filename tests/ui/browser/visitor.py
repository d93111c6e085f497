"""A browser to look at the browser app with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request
from playwright.sync_api import TimeoutError as TooLate

from tests.support.waiting import wait_until

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000  # a busy machine draws slowly; only a failure waits to the end
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
PATHS = ("/", "/live", "/teaching", "/monitor", "/versions", "/benchmark")


def until(page: Page, holds: Callable[[], Any]) -> None:
    """Wait for what the page makes true over here: its events are heard only while Playwright is asked something."""

    def asked() -> Any:
        page.wait_for_timeout(50)
        return holds()

    wait_until(asked, "what the page should do")


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--font-render-hinting=none",
        ],
    )


@dataclass
class Visitor:
    """One browser context. What it asked of anybody else, and what its pages complained of, is held against it."""

    context: BrowserContext
    page: Page
    url: str
    strays: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.url + path)
        try:
            self.page.wait_for_selector(".state .dot")  # connected: the server has drawn the state
        except TooLate as error:
            shown = self.page.evaluate("document.body.innerText.slice(0, 500)")
            raise AssertionError(f"{path} is not connected; heard {self.heard[-30:]}; shown {shown!r}") from error
        return self.page

    def listen(self) -> None:
        """Keep what would explain a page that does not come to life."""
        page, heard = self.page, self.heard
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: heard.append(message.text))
        page.on("requestfailed", lambda request: heard.append(f"failed: {request.url} {request.failure}"))
        page.on("response", lambda answer: heard.append(f"{answer.status} {answer.url}"))
        page.on("websocket", lambda socket: heard.append(f"socket {socket.url}"))


@contextmanager
def visitor(
    browser: Browser,
    url: str,
    *,
    size: dict[str, int] = WIDE,
    language: str = "en-GB",
    dark: bool = False,
    scale: float = 1,
) -> Iterator[Visitor]:
    narrow = size["width"] < 700
    context = browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        locale=language,
        color_scheme="dark" if dark else "light",
        device_scale_factor=scale,
        has_touch=narrow,
        is_mobile=narrow,
        permissions=["camera"],
    )
    context.set_default_timeout(PATIENCE_MS)
    guest = Visitor(context, context.new_page(), url)

    def watch(request: Request) -> None:
        if not request.url.startswith((url, url.replace("http", "ws"), "blob:", "data:")):
            guest.strays.append(request.url)

    context.on("request", watch)
    guest.listen()
    try:
        yield guest
    finally:
        context.close()
    assert guest.strays == []
    assert guest.errors == []
