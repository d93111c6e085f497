from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.ui.app import App, app
from tests.ui.browser.conftest import Visit

Teach = Callable[..., Page]


@pytest.fixture(scope="package")
def teachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Page and API with a store of models, of which the default one serves."""
    folder = tmp_path_factory.mktemp("teachable")
    store = open_store(str(folder / "store"))
    publish(Bundle.open(default_bundle()).path, store, tag=None)
    options = ("--models", str(folder / "store"), "--cache", str(folder / "cache"), "--data", str(folder / "data"))
    with app(folder, *options, DANDELION_POLL_S="0.5") as running:
        yield running


@pytest.fixture
def begin(visit: Visit, teachable: App) -> Teach:
    """Opens the page, and begins with two classes unless others are given."""

    def begin(*labels: str, **options: object) -> Page:
        page = visit(teachable.url, **options).open("/teaching")
        name(page, *(labels or ("dandelion", "grass")))
        return page

    return begin


def name(page: Page, *labels: str) -> None:
    """Name the classes on the empty page, as a person does."""
    fields = page.locator(".first-classes input:not([type=file])")
    for number, label in enumerate(labels):
        if number >= 2:
            page.locator(".add-name").click()
        fields.nth(number).fill(label)
    page.locator(".first-classes .primary").click()
    expect(page.locator(".class-card .class-title")).to_have_text(list(labels))


def card(page: Page, label: str) -> Locator:
    return page.locator(".class-card").filter(has=page.locator(".class-title").get_by_text(label, exact=True))


def add(page: Page, label: str, files: Sequence[Path]) -> None:
    card(page, label).locator("input[type=file]").set_input_files(list(files))
    expect(page.locator(".arriving")).to_have_count(0)


def count(page: Page, label: str, photos: int) -> None:
    expect(card(page, label).locator(".class-head b")).to_have_text(str(photos))


def show_all(page: Page) -> Locator:
    """All photos, in the order of the wall."""
    page.locator(".shelf-all").click()
    return page.locator(".tile:not(.coming)")


def selected(page: Page) -> list[int]:
    """The places of the selected tiles among those that are drawn."""
    places: list[int] = page.locator(".tile").evaluate_all(
        "tiles => tiles.flatMap((tile, n) => (tile.ariaSelected === 'true' ? [n] : []))"
    )
    return places
