from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Route, expect

from runtime.image import MEDIA_TYPES
from tests.support.models.bundles import write_bundle
from tests.support.photos import half_with_end, photo
from tests.ui.app import App, app
from tests.ui.browser.conftest import Visit
from tests.ui.browser.visitor import NARROW, WIDE
from ui.view.page_context import file_types

Photos = Callable[..., list[Path]]

PAINTED = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 100)"
ANSWERED = 5  # photos of a batch before the page is loaded again


def add(page: Page, files: list[Path] | Path | list[FilePayload]) -> None:
    page.set_input_files("input[multiple]", files)


def settled(page: Page, count: int, timeout: float = 60_000) -> None:
    expect(page.locator(".card.done, .card.refused")).to_have_count(count, timeout=timeout)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_photo_is_answered_with_its_evidence(visit: Visit, photos: Photos, size: dict[str, int]):
    page = visit(size=size).open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dandelion or grass?")
    add(page, photos(1))
    settled(page, 1)
    card = page.locator(".card")
    expect(card.locator("h2")).to_have_text("Dandelion")
    expect(card.locator(".percent")).to_contain_text("%")
    expect(card.locator(".meta")).to_contain_text("ms")
    assert card.locator("canvas").evaluate(PAINTED), "no heat is drawn"  # a lone photo is in large view
    page.get_by_role("button", name="Heat maps").click()
    expect(card.locator("canvas")).to_have_count(0)


def test_heat_is_off_over_the_cards_and_on_in_the_large_view(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(3))
    settled(page, 3)
    expect(page.locator(".card img")).to_have_count(3)
    expect(page.locator(".card canvas")).to_have_count(0)
    page.locator(".card .picture").first.click()
    heat = page.locator("dialog.viewer canvas")
    expect(heat).to_have_css("opacity", "0.5")
    assert heat.evaluate(PAINTED)
    page.locator("dialog.viewer input[type=range]").fill("0")
    expect(heat).to_have_css("opacity", "0")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Heat maps").click()
    expect(page.locator(".card canvas")).to_have_count(3)
    assert page.locator(".card canvas").last.evaluate(PAINTED)


@pytest.mark.parametrize(
    ("language", "title", "label"),
    [
        ("en-GB", "Dandelion or grass?", "Dandelion"),
        ("fr-FR", "Pissenlit ou herbe ?", "Pissenlit"),
    ],
)
def test_the_page_speaks_the_browser_s_language(visit: Visit, photos: Photos, language: str, title: str, label: str):
    page = visit(language=language).open()
    expect(page.locator("h1")).to_have_text(title)
    assert page.locator("html").get_attribute("lang")[:2] == language[:2]
    add(page, photos(1))
    settled(page, 1)
    expect(page.locator(".card h2")).to_have_text(label)


def test_the_language_is_switched_without_losing_photos(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(2))
    settled(page, 2)
    page.get_by_role("button", name="Français").click()
    expect(page.locator(".card h2").first).to_have_text("Pissenlit")
    expect(page.locator(".card img")).to_have_count(2)
    expect(page.locator("html")).to_have_attribute("lang", "fr")  # which comes with the cookie, after the texts
    page.reload()
    expect(page.get_by_role("navigation")).to_contain_text("Classer")


def test_the_file_picker_offers_what_the_api_decodes_and_a_refusal_names_it(visit: Visit):
    page = visit().open()
    picker = page.locator("input[multiple]")
    expect(picker).to_have_attribute("accept", file_types(MEDIA_TYPES))
    expect(page.locator("input[capture]")).to_have_attribute("accept", file_types(MEDIA_TYPES))
    assert "image/avif" in MEDIA_TYPES
    add(page, [{"name": "notes.avif", "mimeType": "image/avif", "buffer": b"no photo at all"}])
    settled(page, 1)
    expect(page.locator(".card.refused .why")).to_contain_text(
        re.compile(r"not a photo in a format that is accepted. Send JPEG, PNG, WebP.* AVIF")
    )


def test_photos_come_by_drop_and_by_paste(visit: Visit):
    page = visit().open()
    page.locator(".desk h1").wait_for()
    give = """([event, name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
      const how = {bubbles: true, cancelable: true};
      const made = event === "paste" ? new ClipboardEvent("paste", {clipboardData: transfer, ...how})
                                     : new DragEvent(event, {dataTransfer: transfer, ...how});
      document.body.dispatchEvent(made);
    }"""
    page.evaluate(give, ["dragenter", "a.jpg", []])
    expect(page.locator(".desk.over")).to_be_visible()
    page.evaluate(give, ["drop", "dropped.jpg", list(photo("grass"))])
    settled(page, 1)
    page.evaluate(give, ["paste", "pasted.jpg", list(photo("dandelion"))])
    settled(page, 2)
    expect(page.locator(".card h2")).to_have_text(["Dandelion", "Grass"])


def test_a_phone_is_offered_its_camera(visit: Visit):
    page = visit(size=NARROW).open()
    camera = page.locator("input[capture=environment]")
    expect(camera.locator("..")).to_be_visible()
    camera.set_input_files({"name": "image.jpg", "mimeType": "image/jpeg", "buffer": photo("grass", size=(1200, 900))})
    settled(page, 1)
    expect(page.locator(".card h2")).to_have_text("Grass")


def opened_by(app: App) -> set[str]:
    """The files that it holds open, but for those that it was started with; one may be closed while we look."""
    names = set()
    for link in Path(f"/proc/{app.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if int(link.name) > 2:
                names.add(str(link.readlink()))
    return names


@pytest.mark.parametrize(("language", "words"), [("en-GB", "memory of this tab"), ("fr-FR", "mémoire de cet onglet")])
def test_photos_are_written_nowhere_and_the_page_says_so(visit: Visit, tmp_path: Path, language: str, words: str):
    (tmp_path / "scratch").mkdir()
    bundle = write_bundle(tmp_path / "v7")
    cache = tmp_path / "cache"
    with app(tmp_path, "--bundle", str(bundle), "--cache", str(cache), TMPDIR=str(tmp_path / "scratch")) as running:
        page = visit(running.url, language=language).open()
        expect(page.locator(".privacy")).to_contain_text(words)
        large = photo("dandelion", size=(4000, 3000)) + bytes(3 * 2**20)  # past what servers keep in memory
        add(page, [{"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": large} for number in range(3)])
        settled(page, 3)
        expect(page.locator(".privacy")).to_contain_text(words)
        assert not [
            name for name in opened_by(running) if "(deleted)" in name or name.startswith(str(tmp_path / "scratch"))
        ]
        assert list((tmp_path / "scratch").iterdir()) == []
        assert not cache.exists()


def test_what_is_no_photo_is_refused_clearly(visit: Visit, tmp_path: Path):
    page = visit().open()
    text = tmp_path / "notes.jpg"
    text.write_text("These are notes, whatever the name says.")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo("grass", size=(640, 480))[:3000])
    large = tmp_path / "large.jpg"
    large.write_bytes(photo("grass") + bytes(40 * 2**20))
    add(page, [text, broken, large])
    settled(page, 3)
    said = {card.locator(".name").inner_text(): card.inner_text() for card in page.locator(".card").all()}
    assert "Not a photo" in said["notes.jpg"]
    assert "Broken" in said["broken.jpg"]
    assert "Too large" in said["large.jpg"]
    assert "40 MiB" in said["large.jpg"]


def test_a_photo_of_which_a_part_is_missing_says_so(visit: Visit):
    page = visit().open()
    whole, half = photo(size=(400, 300)), half_with_end(photo(seed=1, size=(400, 300)))
    add(page, [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in (("a", whole), ("b", half))])
    settled(page, 2)
    said = page.get_by_text("Part of this file is missing")
    expect(said).to_have_count(1)
    damaged = page.locator(".card").filter(has_text="Part of this file is missing")
    expect(damaged.locator(".name")).to_have_text("b")
    damaged.locator(".picture").click()
    expect(page.locator("dialog").get_by_text("Part of this file is missing")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Table").click()
    expect(page.locator("tbody tr").filter(has_text="damaged")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    lines = csv.DictReader(io.StringIO(Path(download.value.path()).read_text()))
    assert {line["name"]: line["damaged"] for line in lines} == {"a": "false", "b": "true"}


def test_a_hundred_photos_at_once_are_sorted_filtered_and_downloaded(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, [*photos(60, "dandelion"), *photos(40, "grass")])
    expect(page.get_by_role("progressbar")).to_be_visible()
    settled(page, 100, timeout=120_000)
    expect(page.locator(".tally")).to_contain_text("60 Dandelion")
    page.get_by_role("button", name="Table").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Photo", exact=True).click()
    expect(rows.first).to_contain_text("dandelion-000.jpg")
    page.get_by_role("button", name="Photo", exact=True).click()
    expect(rows.first).to_contain_text("grass-039.jpg")
    expect(page.locator("th.name")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Show only").select_option("grass")
    expect(rows).to_have_count(40)
    page.get_by_label("Filter by name or answer").fill("grass-00")
    expect(rows).to_have_count(10)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(lines) == 10
    assert {line["label"] for line in lines} == {"grass"}
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    fields = json.loads(Path(download.value.path()).read_text())
    assert fields[0]["version"] == "v7"
    assert fields[0]["probabilities"]["grass"] > 0.5


def test_a_spreadsheet_runs_nothing_from_a_file_s_name(visit: Visit, tmp_path: Path):
    page = visit().open()
    file = tmp_path / "=HYPERLINK(1).jpg"
    file.write_bytes(photo("grass"))
    add(page, file)
    settled(page, 1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert "'=HYPERLINK(1).jpg" in Path(download.value.path()).read_text()


def test_a_correction_is_sent_and_its_fate_told(visit: Visit, photos: Photos, running: App):
    page = visit().open()
    add(page, photos(1))
    settled(page, 1)
    page.get_by_role("button", name="Not right?").click()
    page.get_by_label("It shows").select_option("grass")
    page.get_by_role("button", name="Send the photo").click()
    expect(page.locator("dialog.viewer .thanks")).to_contain_text("stored as “Grass”")
    kept = list((running.log.parent / "data" / "feedback" / "colours" / "grass").glob("*.jp*g"))
    assert len(kept) == 1
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".card .thanks")).to_be_visible()


@pytest.mark.parametrize(
    ("status", "retry_after", "told"),
    [
        (429, "80000", "Send it again tomorrow"),
        (503, "3600", "when the operator has reviewed them"),
        (503, "1", "Send it again in a moment"),
    ],
)
def test_a_correction_that_is_one_too_many_is_told_so(
    visit: Visit, photos: Photos, status: int, retry_after: str, told: str
):
    def refuse(route: Route) -> None:
        headers = {"retry-after": retry_after}
        route.fulfill(status=status, headers=headers, json={"status_code": status, "detail": "no"})

    page = visit().open()
    page.route("**/ui/api/feedback", refuse)
    add(page, photos(1))
    settled(page, 1)
    page.get_by_role("button", name="Not right?").click()
    page.get_by_label("It shows").select_option("grass")
    page.get_by_role("button", name="Send the photo").click()
    expect(page.locator("dialog.viewer")).to_contain_text(told)


def test_the_viewer_is_walked_by_keyboard(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(3))
    settled(page, 3)
    page.locator(".card .picture").first.focus()
    page.keyboard.press("Enter")
    name = page.locator("dialog.viewer")
    expect(name).to_have_attribute("aria-label", "dandelion-000.jpg")
    page.keyboard.press("ArrowRight")
    expect(name).to_have_attribute("aria-label", "dandelion-001.jpg")
    page.keyboard.press("Escape")
    expect(name).to_be_hidden()


def test_an_uncertain_answer_says_so(visit: Visit, tmp_path: Path):
    page = visit().open()
    file = tmp_path / "grey.png"
    Image.new("RGB", (64, 64), (128, 0, 128)).save(file)
    add(page, file)
    settled(page, 1)
    expect(page.locator(".card .doubt")).to_have_text("Not sure enough: look for yourself.")


def test_a_reload_in_the_middle_of_a_batch_keeps_rows_and_says_what_is_lost(visit: Visit, photos: Photos):
    page = visit().open()
    asked: list[Route] = []

    def answer_the_first(route: Route) -> None:  # the others are on their way when the page is loaded again
        asked.append(route)
        if len(asked) <= ANSWERED:
            route.continue_()

    page.route("**/ui/api/explain", answer_the_first)
    add(page, photos(60, size=(800, 600)))
    expect(page.locator(".card.done")).to_have_count(ANSWERED)
    page.reload()
    page.unroute("**/ui/api/explain")
    note = page.locator(".note[role=status]")
    expect(note).to_contain_text("The page was loaded again")
    expect(page.locator(".card")).to_have_count(ANSWERED)
    expect(note).to_contain_text(f"lost: {60 - ANSWERED}")
    add(page, photos(1, "grass"))
    expect(page.locator(".card.done")).to_have_count(ANSWERED + 1)


def test_photos_outlive_a_look_at_another_page(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(2))
    settled(page, 2)
    page.get_by_role("link", name="Monitor").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Monitor")
    page.get_by_role("link", name="Classify").click()
    expect(page.locator(".card img")).to_have_count(2)


def test_two_visitors_never_see_each_other_s_photos(visit: Visit, photos: Photos):
    one, other = visit().open(), visit().open()
    add(one, photos(3))
    settled(one, 3)
    add(other, photos(1, "grass"))
    settled(other, 1)
    expect(one.locator(".card h2")).to_have_text(["Dandelion"] * 3)
    expect(other.locator(".card h2")).to_have_text(["Grass"])
    other.reload()
    expect(other.locator(".card")).to_have_count(1)
    assert "dandelion-" not in other.content()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_while_photos_are_sent_the_rest_of_the_page_can_be_read_and_clicked(
    visit: Visit, photos: Photos, size: dict[str, int]
):
    page = visit(size=size).open()
    held: list[Route] = []
    page.route("**/ui/api/explain", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    add(page, photos(4))
    expect(page.locator(".card.sending")).to_have_count(3)
    desk = page.locator(".desk").bounding_box()
    cards = [card.bounding_box() for card in page.locator(".card").all()]
    assert desk
    for number, card in enumerate(cards):
        assert card
        assert card["y"] >= desk["y"] + desk["height"]
        assert not any(overlap(card, other) for other in cards[number + 1 :] if other)
    page.get_by_role("navigation").get_by_role("link").last.click(trial=True)
    for route in held:
        route.continue_()
    page.unroute("**/ui/api/explain")
    settled(page, 4)


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    apart = (
        one["x"] + one["width"] <= other["x"]
        or other["x"] + other["width"] <= one["x"]
        or one["y"] + one["height"] <= other["y"]
        or other["y"] + other["height"] <= one["y"]
    )
    return not apart
