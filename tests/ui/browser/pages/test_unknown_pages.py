"""An answer of "none of these" on the pages Live, Monitor and Models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.models.bundles import write_bundle
from tests.ui.app import App, app
from tests.ui.browser.classify.test_unknown import OTHER
from tests.ui.browser.conftest import Visit
from tests.ui.browser.pages.test_pages import overflow, serious
from tests.ui.browser.visitor import NARROW, WIDE

METRICS = {
    "own_photos": 412,
    "own_called_unknown": 0.012,
    "other_photos": 300,
    "other_answered_with_certainty": 0.0433,
}


@pytest.fixture(scope="module")
def following(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An appliance with two versions, of which the second, which serves, has the unknown class."""
    folder = tmp_path_factory.mktemp("following")
    store = open_store(str(folder / "store"))
    for bundle in (
        write_bundle(folder / "v1"),
        write_bundle(folder / "v2", unknown={"threshold": 0.5, "metrics": METRICS}),
    ):
        publish(bundle, store, tag=Catalogue(store).tag())
    with app(folder, "--models", store.uri, "--cache", str(folder / "cache"), DANDELION_POLL_S="0.5") as running:
        yield running


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_live_says_what_the_camera_does_not_see(visit: Visit, tmp_path: Path, size: dict[str, int], dark: bool) -> None:
    bundle = write_bundle(tmp_path / "v1", unknown={"threshold": 0.0})  # whatever the camera sees
    with app(tmp_path, "--bundle", str(bundle)) as running:
        page = visit(running.url, size=size, dark=dark).open("/live")
        page.get_by_role("button", name="Start the camera").click()
        verdict = page.locator(".verdict.unknown")
        expect(verdict).to_contain_text("Neither dandelion nor grass, as far as I know")
        expect(verdict).to_contain_text("%")
        expect(verdict.locator(".unknown-icon")).to_be_visible()
        assert serious(page) == []
        assert overflow(page) <= 0


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_two_versions_are_compared_of_which_one_has_the_answer(
    visit: Visit, following: App, size: dict[str, int]
) -> None:
    page = visit(following.url, size=size).open("/versions")
    page.locator(".compare input[type=file]").set_input_files([OTHER])
    with_it, without = page.locator(".side").first, page.locator(".side").nth(1)
    expect(with_it.locator("h3")).to_have_text("Neither dandelion nor grass, as far as I know")
    expect(with_it.locator(".rest")).to_contain_text("Grass 28.9%")
    expect(with_it).to_contain_text("71.1%")
    expect(without.locator("h3")).to_have_text("Grass")
    expect(without.locator(".rest, .unknown-icon")).to_have_count(0)
    assert serious(page) == []
    assert overflow(page) <= 0


def test_a_version_shows_that_it_has_the_answer_and_how_good_it_is(visit: Visit, following: App) -> None:
    page = visit(following.url).open("/versions")
    has, lacks = page.get_by_role("article", name="v2"), page.get_by_role("article", name="v1")
    expect(has.locator(".class-name")).to_have_text(["Dandelion", "Grass", "None of these"])
    expect(has.locator("h3")).to_have_text("Classes: 2")
    for name, value in (
        ("Wrongly “none of these”", "1.2% of 412"),
        ("Other things, answered with certainty", "4.3% of 300"),
    ):
        expect(has.locator("dl div").filter(has=page.get_by_text(name, exact=True))).to_contain_text(value)
    expect(lacks.locator(".class-name")).to_have_text(["Dandelion", "Grass"])
    expect(lacks.get_by_text("none of these", exact=False)).to_have_count(0)


def test_the_monitor_counts_photos_of_something_else(visit: Visit, following: App) -> None:
    for _ in range(2):
        answer = httpx.post(
            following.url + "/predict", content=OTHER["buffer"], headers={"content-type": OTHER["mimeType"]}
        )
        assert answer.json()["unknown"] is True
    page = visit(following.url).open("/monitor")
    mix = page.locator(".panel-mix")
    expect(mix.locator("li.unknown")).to_contain_text("None of these")
    expect(mix.locator("li.unknown")).to_contain_text("100%")
    expect(mix).to_contain_text("none of these")
    expect(page.locator(".panel-confidence")).to_contain_text("every photo showed something else")
    assert serious(page) == []
