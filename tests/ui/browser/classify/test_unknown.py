"""An answer of "none of these" on the Classify page, and as a correction."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from runtime.names import UNKNOWN
from tests.support.models.bundles import write_bundle
from tests.support.photos import encode
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import PAINTED, Photos, add, settled
from tests.ui.browser.conftest import Visit
from tests.ui.browser.pages.test_pages import overflow, serious
from tests.ui.browser.pages.test_widths import WIDTHS, clashes
from tests.ui.browser.visitor import NARROW, WIDE

COLUMNS = (
    "name,bytes,label,confidence,uncertain,damaged,correction,model,version,decode_ms,infer_ms,total_ms,at,refused"
)
CERTAIN = ".card.done:not(.unsure, .unknown)"
BACKGROUND = "element => getComputedStyle(element).backgroundColor"


def plain(name: str, colour: tuple[int, int, int]) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": encode(Image.new("RGB", (96, 72), colour), "PNG")}


OTHER = plain("sky.png", (20, 70, 160))  # unknown by 71 in 100, grass by 29
DOUBTFUL = plain("dust.png", (100, 100, 90))


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Page and API with a model that has the unknown class, and a store for corrected photos."""
    folder = tmp_path_factory.mktemp("telling")
    bundle = write_bundle(folder / "v8", unknown={"threshold": 0.5})
    options = ("--data", str(folder / "data"), "--cache", str(folder / "cache"))
    with app(folder, "--bundle", str(bundle), *options) as running:
        yield running


def of_each_kind(page: Page, photos: Photos) -> None:
    """An answer of each kind: certain, uncertain, unknown, and a refusal."""
    add(page, photos(1))
    add(page, [DOUBTFUL, OTHER, {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"}])
    settled(page, 4)


def options_of(select: Locator) -> list[str]:
    return select.locator("option").all_inner_texts()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("language", "heading", "rest", "heat"),
    [
        ("en-GB", "Neither dandelion nor grass, as far as I know", "The rest: Grass 28.9%", "for something else"),
        ("fr-FR", "Ni pissenlit ni herbe, pour autant que je sache", "Le reste : Herbe 28,9", "à autre chose"),
    ],
)
def test_a_photo_of_something_else_is_neither_of_two_labels(
    visit: Visit, telling: App, size: dict[str, int], language: str, heading: str, rest: str, heat: str
) -> None:
    page = visit(telling.url, size=size, language=language).open()
    add(page, [OTHER])
    settled(page, 1)
    card = page.locator(".card.unknown")
    expect(card.get_by_role("heading")).to_have_text(heading)
    expect(card.locator("h2 .unknown-icon")).to_be_visible()
    expect(card.locator(".percent")).to_contain_text("71")
    expect(card.get_by_role("meter")).to_have_attribute("aria-valuenow", "71")
    expect(card.locator(".rest")).to_contain_text(rest)
    expect(card.locator(".doubt")).to_have_count(0)
    expect(card).to_contain_text(heat)
    assert card.locator("canvas").evaluate(PAINTED), "no heat is drawn"
    assert overflow(page) <= 0


def test_an_unknown_answer_has_a_colour_that_no_other_has(visit: Visit, telling: App, photos: Photos) -> None:
    page = visit(telling.url).open()
    of_each_kind(page, photos)
    bars = {page.locator(f"{kind} .bar i").evaluate(BACKGROUND) for kind in (CERTAIN, ".card.unknown")}
    refused = page.locator(".card.refused .why").evaluate("element => getComputedStyle(element).color")
    assert len({*bars, refused}) == 3
    expect(page.locator(".card.unsure .doubt")).to_be_visible()
    expect(page.locator(".card.unsure.unknown")).to_have_count(0)
    expect(page.locator(".unknown-icon:visible")).to_have_count(2)  # in the card and in the counts


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True), (WIDE, True), (NARROW, False)])
def test_answers_of_all_kinds_have_no_serious_barrier(
    visit: Visit, telling: App, photos: Photos, size: dict[str, int], dark: bool
) -> None:
    page = visit(telling.url, size=size, dark=dark).open()
    of_each_kind(page, photos)
    assert serious(page) == []
    assert overflow(page) <= 0
    page.locator(".card.unknown .picture").click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Table").click()
    assert serious(page) == []
    assert overflow(page) <= 0


# The cards whose figure lies over a word of their heading.
COVERED = """() => [...document.querySelectorAll(".card.unknown")].filter((card) => {
  const figure = card.querySelector(".percent").getBoundingClientRect();
  const meet = (box) => Math.min(box.right, figure.right) - Math.max(box.left, figure.left) > 1 &&
    Math.min(box.bottom, figure.bottom) - Math.max(box.top, figure.top) > 4;
  const walk = document.createTreeWalker(card.querySelector("h2"), NodeFilter.SHOW_TEXT);
  const words = document.createRange();
  while (walk.nextNode()) {
    words.selectNodeContents(walk.currentNode);
    if ([...words.getClientRects()].some(meet)) return true;
  }
  return false;
}).map((card) => card.innerText)"""


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_an_unknown_answer_fits_into_its_card_at_any_width(visit: Visit, telling: App, photos: Photos, language: str):
    page = visit(telling.url, language=language).open()
    of_each_kind(page, photos)
    add(page, [plain("sea.png", (0, 0, 255))])  # above 99.9 %, the longest figure
    settled(page, 5)
    page.evaluate("document.fonts.ready")
    assert clashes(page) == {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(COVERED) == [], width


def test_with_more_labels_it_is_none_of_these(visit: Visit, tmp_path: Path) -> None:
    bundle = write_bundle(
        tmp_path / "v1", name="birds", labels=["robin", "wren", "tit", "x" * 60], unknown={"threshold": 0.5}
    )
    with app(tmp_path, "--bundle", str(bundle)) as birds:
        page = visit(birds.url).open()
        add(page, [OTHER])
        settled(page, 1)
        expect(page.locator(".card h2")).to_have_text("None of these, as far as I know")
        expect(page.locator(".card .rest > span")).to_have_count(1 + 3)


def test_a_label_within_the_sentence_stays_as_it_was_typed(visit: Visit, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1", name="birds", labels=["Blue_tit", "عصفور"], unknown={"threshold": 0.5})
    with app(tmp_path, "--bundle", str(bundle)) as birds:
        page = visit(birds.url).open()
        add(page, [OTHER])
        settled(page, 1)
        expect(page.locator(".card h2")).to_have_text("Neither Blue_tit nor \u2068عصفور\u2069, as far as I know")


def test_the_large_view_shows_the_labels_paler_than_the_answer(visit: Visit, telling: App, photos: Photos) -> None:
    page = visit(telling.url).open()
    of_each_kind(page, photos)
    page.locator(".card.unknown .picture").click()
    dialog = page.locator("dialog.viewer")
    expect(dialog.locator("h2")).to_have_text("Neither dandelion nor grass, as far as I know")
    expect(dialog.locator("img")).to_have_attribute("alt", "Your photo: Neither dandelion nor grass")
    expect(dialog.locator(".scores dt")).to_have_text(["None of these", "Grass", "Dandelion"])
    expect(dialog.locator(".scores dd.other")).to_have_count(2)
    assert dialog.locator(".scores dd.other b").first.evaluate("b => getComputedStyle(b).fontWeight") == "500"
    expect(dialog).to_contain_text("speaks for something else")
    assert dialog.locator("canvas").evaluate(PAINTED)
    page.keyboard.press("Escape")
    page.locator(f"{CERTAIN} .picture").click()
    expect(dialog.locator(".scores dt")).to_have_text(["Dandelion", "Grass", "None of these"])
    expect(dialog).to_contain_text("the evidence for this answer")


def test_counts_filter_and_files_know_unknown_answers(visit: Visit, telling: App, photos: Photos) -> None:
    page = visit(telling.url).open()
    of_each_kind(page, photos)
    add(page, [OTHER])
    settled(page, 5)
    expect(page.locator(".tally > span")).to_have_text(
        ["1 Grass, 1 of them uncertain", "1 Dandelion", "2 None of these", "1 refused"]
    )
    page.get_by_role("button", name="Table").click()
    page.get_by_role("button", name="Answer", exact=True).click()
    expect(page.locator("tbody tr").nth(1).locator("td.label")).to_have_text("None of these")
    page.get_by_label("Show only").select_option(label="None of these")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("71.1%")
    expect(rows.first.locator(".note-cell")).to_contain_text("The rest: Grass 28.9%")
    page.get_by_label("Show only").select_option("")
    page.get_by_label("Filter by name or answer").fill("none of")
    expect(rows).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    text = Path(download.value.path()).read_text()
    assert text.splitlines()[0] == f"{COLUMNS},unknown,unknown_probability"
    [line, _] = csv.DictReader(io.StringIO(text))
    assert (line["label"], line["uncertain"], line["unknown"]) == ("", "false", "true")
    assert float(line["unknown_probability"]) == float(line["confidence"]) == pytest.approx(0.711, abs=0.01)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    fields = json.loads(Path(download.value.path()).read_text())[0]
    assert fields["label"] is None
    assert fields["unknown"] is True
    assert fields["probabilities"].keys() == {"dandelion", "grass"}


def test_without_the_unknown_class_nothing_but_the_correction_speaks_of_it(visit: Visit, photos: Photos) -> None:
    page = visit().open()
    add(page, [*photos(1)])
    add(page, [OTHER])
    settled(page, 2)
    expect(page.locator(".card.unknown, .unknown-icon, .none, .rest")).to_have_count(0)
    for kind, columns in (("CSV", COLUMNS.split(",")), ("JSON", [*COLUMNS.split(","), "probabilities"])):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download as {kind}").click()
        text = Path(download.value.path()).read_text()
        found = list(json.loads(text)[0]) if kind == "JSON" else text.splitlines()[0].split(",")
        assert found == columns
    page.locator(".card .picture").last.click()
    dialog = page.locator("dialog.viewer")
    expect(dialog.locator(".scores dt")).to_have_text(["Dandelion", "Grass"])
    assert options_of(dialog.locator("select")) == ["Dandelion", "Grass", "None of these"]


def corrected(page: Page, label: str) -> None:
    page.get_by_role("button", name="Not right?").click()
    page.get_by_label("It shows").select_option(label=label)
    page.get_by_role("button", name="Send the photo").click()


def test_none_of_these_is_a_correction_with_every_bundle(visit: Visit, photos: Photos, running: App) -> None:
    page = visit().open()
    add(page, photos(1, "grass"))
    settled(page, 1)
    corrected(page, "None of these")
    expect(page.locator("dialog.viewer .thanks")).to_contain_text("stored as “None of these”")
    [record] = (running.log.parent / "data" / "feedback" / "colours" / UNKNOWN).glob("*.json")
    assert json.loads(record.read_text())["label"] == UNKNOWN
    page.reload()
    expect(page.locator(".card .thanks")).to_have_text("corrected: None of these")


def test_an_unknown_photo_is_corrected_to_the_likeliest_label_first(visit: Visit, telling: App) -> None:
    page = visit(telling.url).open()
    add(page, [OTHER])
    settled(page, 1)
    page.get_by_role("button", name="Not right?").click()
    expect(page.get_by_label("It shows")).to_have_value("grass")
    page.get_by_role("button", name="Send the photo").click()
    expect(page.locator("dialog.viewer .thanks")).to_contain_text("stored as “Grass”")
    [record] = (telling.log.parent / "data" / "feedback" / "colours" / "grass").glob("*.json")
    assert json.loads(record.read_text())["predicted"] == UNKNOWN


def test_that_an_appliance_of_an_earlier_release_has_no_such_correction_is_said(visit: Visit, photos: Photos) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=404, json={"status_code": 404, "detail": "there is no label '(unknown)'"})

    page = visit().open()
    page.route("**/ui/api/feedback", refuse)
    add(page, photos(1))
    settled(page, 1)
    corrected(page, "None of these")
    expect(page.get_by_role("alert").filter(has_text="earlier release")).to_be_visible()


def test_a_reload_keeps_unknown_answers_and_reads_those_of_an_earlier_page(visit: Visit, telling: App) -> None:
    page = visit(telling.url).open()
    add(page, [OTHER])
    settled(page, 1)
    page.reload()
    expect(page.locator(".card.unknown h2")).to_have_text("Neither dandelion nor grass, as far as I know")
    expect(page.locator(".card .rest")).to_contain_text("Grass")
    row = {"id": "x-0", "name": "old.jpg", "bytes": 9, "label": "grass", "confidence": 0.9, "uncertain": False}
    row |= {"probabilities": {"dandelion": 0.1, "grass": 0.9}, "version": "v1", "model": "colours", "correction": ""}
    row |= {"timings": {"decode": 1, "infer": 1, "total": 2}, "at": "2026-01-01T00:00:00Z", "problem": None}
    guest = visit(telling.url)
    kept = json.dumps(json.dumps({"rows": [row], "unfinished": 0}))
    guest.page.add_init_script(f"sessionStorage.setItem('dandelion-results', {kept})")
    page = guest.open()
    expect(page.locator(".card.done:not(.unknown) h2")).to_have_text("Grass")
