"""With classes of one's own nothing on the page says dandelion: no text, no title, no picture, in no language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

import ui
from runtime.api.security.keys import new_key
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.pictures.displays import SVG, with_picture
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import add, settled
from tests.ui.browser.conftest import Visit
from tests.ui.browser.visitor import PATHS

LABELS = ["Blue_tit", "rotkehlchen  é", "عصفور", "x<b>y"]
STATIC = Path(ui.__file__).parent / "static"
# The names of metrics, variables and buckets stay.
FORBIDDEN = re.compile(r"dandelion(?!_\w)|grass|meadow|lawn|pissenlit|herbe|pelouse|pousse", re.IGNORECASE)
VARIABLE = re.compile(r"DANDELION_[A-Z_]+")
SEEN = """() => [
    document.title,
    document.body.innerText,
    ...[...document.querySelectorAll("*")].flatMap((element) =>
        ["title", "alt", "aria-label", "placeholder", "download"].map((name) => element.getAttribute(name) ?? "")),
].join("\\n")"""


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("birds")
    bundle = write_bundle(folder / "v1", name="garden-birds", labels=LABELS)
    with app(folder, "--bundle", str(bundle), "--data", str(folder / "data"), "--cache", str(folder / "c")) as running:
        yield running


def look(page: Page) -> str:
    """What the page says, to eyes and to screen readers, which is held against it."""
    said = VARIABLE.sub("", str(page.evaluate(SEEN)))
    assert not FORBIDDEN.search(said), said
    assert page.locator(".clock").count() == 0
    icons = page.evaluate("[...document.querySelectorAll('link[rel~=icon]')].map((link) => link.href)")
    assert icons
    assert all(icon.endswith("/ui/static/lens.svg") for icon in icons), icons
    return said


@pytest.mark.parametrize(
    ("language", "headline"), [("en-GB", "What is in this photo?"), ("fr-FR", "Que montre cette photo ?")]
)
def test_no_page_says_dandelion(visit: Visit, birds: App, tmp_path: Path, language: str, headline: str) -> None:
    page = visit(birds.url, language=language).open()
    expect(page.locator("h1")).to_have_text(headline)
    expect(page.locator(".brand")).to_contain_text("Garden birds")
    file = tmp_path / "a.jpg"
    file.write_bytes(photo())
    add(page, [file])
    settled(page, 1)
    expect(page.locator(".card h2")).to_have_text("Blue_tit")
    look(page)
    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        assert re.fullmatch(rf"garden-birds-[-\d]+\.{kind.lower()}", download.value.suggested_filename)
        assert "Blue_tit" in download.value.path().read_text()
    page.locator(".card .picture").click()
    dialog = page.locator("dialog.viewer")
    expect(dialog.locator("dt", has_text="rotkehlchen  é")).to_have_count(1)
    assert dialog.locator(".scores dt").all_inner_texts() != []
    dialog.locator("select").select_option("عصفور")
    dialog.locator("form button").click()
    expect(dialog.locator(".thanks")).to_contain_text("\u2068عصفور\u2069")
    look(page)
    for path in PATHS[1:]:
        page.goto(birds.url + path)
        page.wait_for_selector(".state .dot")
        expect(page.locator("main h1")).to_be_visible()
        page.wait_for_timeout(300)
        look(page)
    assert [*(birds.log.parent / "data" / "feedback").iterdir()] == [birds.log.parent / "data/feedback/garden-birds"]


def test_classes_are_shown_as_they_were_typed(visit: Visit, birds: App) -> None:
    page = visit(birds.url).open("/versions")
    names = page.locator(".version .class-name")
    expect(names).to_have_count(len(LABELS))
    assert names.evaluate_all("names => names.map((name) => name.textContent)") == LABELS
    assert names.nth(2).evaluate("name => getComputedStyle(name).direction") == "rtl"
    assert names.nth(1).evaluate("name => name.innerText") == LABELS[1]
    httpx.post(birds.url + "/predict", content=photo(), headers={"content-type": "image/jpeg"}).raise_for_status()
    page.goto(birds.url + "/monitor")
    expect(page.locator(".panel-mix .bar-name").first).to_have_text("Blue_tit")


def test_the_api_speaks_of_no_product(birds: App) -> None:
    for path in ("/docs", "/docs/openapi.json", "/v2", "/model", "/health", "/models"):
        said = VARIABLE.sub("", httpx.get(birds.url + path, headers={"accept": "*/*"}).text)
        assert not re.search(r"dandelion(?!_\w)|grass", said.replace("dandelion.example", ""), re.IGNORECASE), path
    assert httpx.get(birds.url + "/favicon.ico").content == (STATIC / "lens.svg").read_bytes()
    assert "dandelion" not in birds.log.read_text().lower()


def test_title_headline_and_picture_come_from_the_bundle(visit: Visit, tmp_path: Path) -> None:
    bundle = with_picture(
        write_bundle(tmp_path / "v1", labels=LABELS), SVG, title="<Vögel> & Co", headline="Welcher Vogel ist das?"
    )
    with app(tmp_path, "--bundle", str(bundle), "--cache", str(tmp_path / "cache")) as running:
        page = visit(running.url).open()
        expect(page).to_have_title("Classify · <Vögel> & Co")
        expect(page.locator("h1")).to_have_text("Welcher Vogel ist das?")
        expect(page.locator(".brand span")).to_have_text("<Vögel> & Co")
        for place in (".desk-picture img", ".brand img"):
            assert page.locator(place).evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        address = str(page.locator(".brand img").get_attribute("src"))
        answer = httpx.get(running.url + address)
        assert (answer.content, answer.headers["content-type"]) == (SVG, "image/svg+xml")
        assert "default-src 'none'; style-src 'unsafe-inline'; sandbox" in answer.headers["content-security-policy"]


def test_when_another_product_serves_an_open_page_becomes_that_product_s(visit: Visit, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    for version, name, labels in (("v1", "birds", ["robin", "wren"]), ("v2", "meadow", ["dandelion", "grass"])):
        publish(write_bundle(tmp_path / version, name=name, labels=labels), store, tag=Catalogue(store).tag())
    settings = {"DANDELION_MODEL_NAMES": "birds,meadow", "DANDELION_POLL_S": "0.5"}
    with app(tmp_path, "--models", store.uri, "--cache", str(tmp_path / "cache"), **settings) as running:
        page = visit(running.url).open()
        expect(page.locator(".brand")).to_have_text("Meadow")
        expect(page.locator(".clock")).to_be_visible()
        httpx.post(running.url + "/models/pin", json={"version": "v1"}, headers={"origin": running.url})
        expect(page.locator(".brand")).to_have_text("Birds")
        expect(page.locator("h1")).to_have_text("robin or wren?")
        expect(page.locator(".lens")).to_be_visible()
        expect(page).to_have_title("Classify · Birds")


def test_a_visitor_without_the_key_sees_no_product_and_asks_for_it_once(visit: Visit, tmp_path: Path) -> None:
    key, entry = new_key()
    bundle = write_bundle(tmp_path / "v1", name="birds", labels=["robin", "wren"])
    arguments = ("--bundle", str(bundle), "--cache", str(tmp_path / "cache"), "--api-keys", entry)
    with app(tmp_path, *arguments) as running:
        page = visit(running.url).open()
        expect(page.locator("h1")).to_have_text("What is in this photo?")
        refused = rejections(running)
        page.wait_for_timeout(5000)  # two looks at the state
        assert rejections(running) == refused
        page.locator(".state").click()
        page.get_by_label("API key", exact=True).fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("h1")).to_have_text("robin or wren?")
        expect(page.locator(".brand")).to_have_text("Birds")


def rejections(running: App) -> list[str]:
    metrics = httpx.get(running.url + "/metrics").text.splitlines()
    return [line for line in metrics if line.startswith('dandelion_rejections_total{reason="key"}')]
