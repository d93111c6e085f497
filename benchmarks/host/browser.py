"""Headless Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.host.processes import tree
from runtime.errors import Refusal

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1280, "height": 900}
PATIENCE_MS = 60_000


class Browser(NamedTuple):
    """One open tab, and the process that all of the browser's others descend from."""

    page: Page
    pid: int


@contextmanager
def chromium(executable: Path | None) -> Iterator[Browser]:
    """Open a browser without a window; it is closed with the block.

    `executable` is searched for where None. Raises Refusal where Playwright or a Chromium is missing.
    """
    try:
        from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - needed by this measurement alone
    except ImportError as error:
        raise Refusal("Playwright drives the browser and is not installed; run `pip install playwright`") from error
    found = _found(executable)
    before = set(tree(os.getpid()))
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            raise Refusal(f"{found}: is no Chromium that starts here: {str(error).splitlines()[0]}") from error
        started = [pid for pid in tree(os.getpid()) if pid not in before]
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_MS)
        try:
            yield Browser(page, started[0])
        finally:
            browser.close()


def _found(executable: Path | None) -> str:
    found = str(executable) if executable else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise Refusal("no Chromium is installed; run `apt-get install chromium`, or name one with --chromium")
    return found
