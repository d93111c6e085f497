from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.suite.turns import folder_of_all_workers, wait_for_containers
from tests.ui.app import App, app
from tests.ui.browser.visitor import PATIENCE_MS, Visitor, launch, visitor

Visit = Callable[..., Visitor]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for this folder. Playwright's event loop runs in this thread until it ends: no test of others may."""
    wait_for_containers(folder_of_all_workers(tmp_path_factory))
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Page and API in one process, with a small model, and a store for corrected photos."""
    folder = tmp_path_factory.mktemp("app")
    bundle = write_bundle(folder / "v7")
    with app(
        folder, "--bundle", str(bundle), "--data", str(folder / "data"), "--cache", str(folder / "cache")
    ) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, running: App) -> Iterator[Visit]:
    """Opens browser contexts; at the end each must have asked nobody but the appliance, and have met no error."""
    with ExitStack() as stack:
        yield lambda url=running.url, **options: stack.enter_context(visitor(browser, url, **options))


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., list[Path]]:
    def make(count: int, label: str = "dandelion", **options: Any) -> list[Path]:
        files = [tmp_path / f"{label}-{number:03}.jpg" for number in range(count)]
        for number, file in enumerate(files):
            file.write_bytes(photo(label, number, **options))
        return files

    return make
