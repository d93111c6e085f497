"""The photos of a session: their counts, taking them out and bringing them back, and drawn ones for a first visit."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import expect

from tests.support.models.bundles import write_bundle
from tests.support.photos import encode
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit


def test_the_counts_of_labels_add_up_and_uncertain_answers_are_part_of_them(visit: Visit, photos: Photos):
    page = visit().open()
    doubtful = encode(Image.new("RGB", (64, 64), (128, 0, 128)), "PNG")
    extra = [{"name": "grey.png", "mimeType": "image/png", "buffer": doubtful}]
    add(page, [*photos(3), *photos(2, "grass")])
    add(page, extra)
    settled(page, 6)
    spans = page.locator(".tally > span").all_inner_texts()
    assert sum(int(re.match(r"\d+", span)[0]) for span in spans) == 6
    assert sum("1 of them uncertain" in span for span in spans) == 1
    expect(page.locator("h1")).to_have_text("6 photos")


def test_what_is_cleared_comes_back_by_undo(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(3))
    settled(page, 3)
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator(".undo")).to_contain_text("3 photos removed.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card.done")).to_have_count(3)
    for image in page.locator(".card img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator(".undo")).to_have_count(0)


def test_one_photo_that_is_removed_comes_back_in_its_place(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(3))
    settled(page, 3)
    page.locator(".card .picture").nth(1).click()
    page.get_by_role("button", name="Remove from this session").click()
    expect(page.locator(".undo")).to_contain_text("One photo removed.")
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card .name")).to_have_text([f"dandelion-{number:03}.jpg" for number in range(3)])


def test_new_photos_end_the_undo_and_free_the_old_ones(visit: Visit, photos: Photos):
    page = visit().open()
    add(page, photos(2))
    settled(page, 2)
    url = page.locator(".card img").first.get_attribute("src")
    page.get_by_role("button", name="Clear all").click()
    add(page, photos(1, "grass"))
    settled(page, 1)
    expect(page.locator(".undo")).to_have_count(0)
    assert page.evaluate("url => fetch(url).then(() => 'there', () => 'gone')", url) == "gone"


def measured(app: App) -> float:
    found = re.findall(
        r'dandelion_predictions_total{.*traffic="measurement".*} ([0-9.]+)', httpx.get(app.url + "/metrics").text
    )
    return sum(map(float, found))


def test_a_first_visitor_has_sample_photos_to_click_that_are_no_traffic_of_use(visit: Visit, running: App):
    before = measured(running)
    page = visit().open()
    samples = page.locator(".samples button")
    expect(samples).to_have_count(4)
    samples.first.click()
    settled(page, 1)
    expect(page.locator(".card h2")).to_have_text("Dandelion")
    expect(page.locator(".samples")).to_have_count(0)
    assert measured(running) == before + 1


def test_with_other_classes_no_drawn_dandelion_is_offered(visit: Visit, tmp_path: Path):
    bundle = write_bundle(tmp_path / "birds", labels=["robin", "wren"])
    with app(tmp_path, "--bundle", str(bundle)) as birds:
        page = visit(birds.url).open()
        page.locator(".card, .desk").first.wait_for()
        add(page, [{"name": "wren.png", "mimeType": "image/png", "buffer": encode(Image.new("RGB", (64, 64)), "PNG")}])
        settled(page, 1)  # long after the model has been asked for its labels
        page.get_by_role("button", name="Clear all").click()
        expect(page.locator(".samples")).to_have_count(0)
