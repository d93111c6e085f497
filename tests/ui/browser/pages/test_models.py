"""The Models page: classes with examples, sizes, and buttons for those who may press them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, expect

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MODEL
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.appliances.operated import operated
from tests.support.appliances.servers import Appliance
from tests.support.models.bundles import taught_bundle
from tests.support.photos import photo
from tests.support.suite.system_packages import needs
from tests.support.web.web_servers import plain_proxy
from tests.ui.app import app
from tests.ui.browser.conftest import Visit

HOW = "make a key with \N{LEFT DOUBLE QUOTATION MARK}python -m runtime key\N{RIGHT DOUBLE QUOTATION MARK}"


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Page and API of two versions, without any key, and a data store with photos of one class."""
    folder = tmp_path_factory.mktemp("keyless")
    raw = folder / "data" / "products" / "colours" / "raw" / "grass"
    raw.mkdir(parents=True)
    (raw / "0.jpg").write_bytes(b"no photo")
    for seed in range(1, 6):
        (raw / f"{seed}.jpg").write_bytes(photo("grass", seed))
    with operated(folder, "ui", DANDELION_DATA=str(folder / "data")) as running:
        yield running


def test_on_the_appliance_s_own_machine_the_buttons_work_without_a_key(visit: Visit, keyless: Appliance) -> None:
    page = visit(keyless.url).open("/versions")
    serving = page.locator(".version.serving h2")
    expect(serving).to_have_text("v2")
    page.get_by_role("button", name="Pin v1").click()
    expect(serving).to_have_text("v1")
    page.get_by_role("button", name="Follow the store again").click()
    expect(page.locator("main .note")).to_contain_text("followed again")
    page.get_by_role("button", name="Activate v2").click()
    expect(serving).to_have_text("v2")


@pytest.mark.parametrize("kind", [pytest.param(name, marks=needs(name)) for name in ("nginx", "caddy")])
def test_a_stranger_behind_a_proxy_on_that_machine_has_no_buttons_but_the_way_to_a_key(
    visit: Visit, keyless: Appliance, tmp_path: Path, kind: str
) -> None:
    with plain_proxy(kind, tmp_path, keyless.url, websockets=True) as outside:
        page = visit(outside).open("/versions")
        expect(page.locator(".admission")).to_contain_text(HOW)
        expect(page.locator(".version")).to_have_count(2)
        expect(page.get_by_role("button", name="Pin v1")).to_have_count(0)
        expect(page.get_by_role("button", name="Activate v1")).to_have_count(0)
        page.wait_for_timeout(500)  # for what would come late
        expect(page.locator(".thumbs img")).to_have_count(0)


def test_classes_are_shown_with_photos_to_the_operator_alone(visit: Visit, keyless: Appliance) -> None:
    page = visit(keyless.url).open("/versions")
    card = page.locator(".version.serving")
    expect(card.locator(".class-name")).to_have_text(["Dandelion", "Grass"])
    expect(card.locator("li", has_text="Grass").locator("img")).to_have_count(3)
    expect(card.locator("li", has_text="Dandelion").locator("img")).to_have_count(0)
    assert card.locator("img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator(".version:not(.serving) .class-name")).to_have_text(["Dandelion", "Grass"])


def test_a_size_is_that_of_the_model_as_the_export_prints_it(visit: Visit, tmp_path: Path) -> None:
    size = f"{(default_bundle() / MODEL).stat().st_size / 1e6:.1f} MB"
    with app(tmp_path, "--bundle", str(default_bundle()), "--cache", str(tmp_path / "cache")) as running:
        page = visit(running.url).open("/models")  # typed into a browser
        expect(page).to_have_url(running.url + "/versions")
        fact = page.locator(".version dl div").filter(has=page.get_by_text("Size", exact=True))
        expect(fact.locator("dd")).to_contain_text(size)
        assert json.loads(httpx.get(running.url + "/models").text)["serving"]


def test_what_was_taught_says_from_how_many_photos_and_how_sure_its_figure_is(visit: Visit, tmp_path: Path) -> None:
    publish(taught_bundle(tmp_path / "v1"), open_store(str(tmp_path / "cache/store")))
    with app(tmp_path, DANDELION_CACHE=str(tmp_path / "cache")) as running:
        page = visit(running.url).open("/versions")
        expect(page.locator("main .status-line")).to_contain_text("Versions kept on this host")
        card = page.locator(".version.serving")
        expect(card.locator("h2")).to_have_text("v1")

        def fact(name: str) -> Locator:
            return card.locator("dl div").filter(has=page.get_by_text(name, exact=True)).locator("dd")

        expect(fact("Taught on an appliance")).to_have_text("from 10 photos")
        expect(fact("Accuracy")).to_have_text("100.0% (75.0% to 100.0%)")
        expect(fact("Lost by quantisation (INT8)")).to_have_count(0)
        page.get_by_role("button", name="Pin v1").click()
        page.get_by_role("button", name="Unpin").click()
        expect(page.locator("main .note")).to_contain_text("activated or taught last is active again")


def test_the_one_bundle_that_is_named_says_so(visit: Visit, tmp_path: Path) -> None:
    with app(tmp_path, "--bundle", str(default_bundle())) as running:
        page = visit(running.url).open("/versions")
        expect(page.get_by_text("DANDELION_BUNDLE names the one model")).to_be_visible()
        expect(page.get_by_role("button", name="Pin")).to_have_count(0)
