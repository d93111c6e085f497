"""The page with photos, and with a result: in both looks, narrow and wide, in two languages, for everybody."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.pages.test_buttons import PHONE, tight
from tests.ui.browser.pages.test_pages import overflow, serious
from tests.ui.browser.pages.test_widths import clashes
from tests.ui.browser.teach.conftest import Teach, add, show_all
from tests.ui.browser.visitor import NARROW, WIDE, until

LONG = "une très longue classe, avec une virgule"
EACH = 5
MANY = 260


def fill(page: Page, photos: Photos, *labels: str) -> None:
    for label, kind in zip(labels, ("dandelion", "grass"), strict=True):
        add(page, label, photos(EACH, kind))
    expect(show_all(page)).to_have_count(2 * EACH)


def learn(page: Page) -> None:
    page.locator(".teach-button").click()
    expect(page.locator(".teach-verdict h1")).to_be_visible()
    expect(page.locator(".doubtful img, .trial")).not_to_have_count(0)


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_there_is_no_serious_barrier(begin: Teach, photos: Photos, size: dict[str, int], dark: bool) -> None:
    page = begin("sun", "rain", size=size, dark=dark)
    assert serious(page) == []
    fill(page, photos, "sun", "rain")
    page.locator(".tile").nth(2).click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.locator(".class-tools .button:not(.file)").first.click()
    expect(page.locator(".shutter")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Done").click()
    learn(page)
    page.locator(".trial input[type=file]").set_input_files(photos(1, "grass"))
    expect(page.locator(".tried .answers")).to_have_count(1)
    assert serious(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_nothing_overlaps_or_sticks_out(begin: Teach, photos: Photos, language: str) -> None:
    page = begin("court", LONG, language=language)
    assert clashes(page) == {}
    fill(page, photos, "court", LONG)
    page.set_viewport_size(WIDE)
    page.locator(".tile").first.click()
    assert clashes(page) == {}
    page.keyboard.press("Escape")
    page.set_viewport_size(WIDE)
    learn(page)
    assert clashes(page) == {}


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_the_words_of_the_buttons_keep_their_padding(begin: Teach, photos: Photos, language: str) -> None:
    page = begin("sun", "rain", size=PHONE, language=language)
    assert tight(page) == []
    fill(page, photos, "sun", "rain")
    page.locator(".tile").first.tap()
    assert tight(page) == []
    page.locator(".selection-bar .link").tap()
    learn(page)
    assert tight(page) == []


def test_hundreds_of_photos_are_scrolled_and_only_those_near_are_loaded(begin: Teach, photos: Photos) -> None:
    page = begin("many", "few")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/thumbnail") else None)
    add(page, "few", photos(2, "grass"))
    add(page, "many", photos(MANY, size=(64, 48)))
    page.reload()
    page.locator(".shelf-all").click()
    expect(page.locator(".tile").first).to_be_visible()
    page.wait_for_timeout(300)
    asked.clear()
    page.reload()
    expect(page.locator(".tile").first).to_be_visible()
    page.wait_for_timeout(500)
    assert 0 < len(set(asked)) < MANY / 2
    assert page.locator(".tile").count() < MANY / 2
    tall = page.locator(".wall").bounding_box()
    assert tall
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    last = page.locator(f".tile[aria-posinset='{MANY + 2}']")
    expect(last).to_be_in_viewport()
    until(page, lambda: last.locator("img").evaluate("image => image.naturalWidth") > 0)


def test_the_french_page_speaks_french(begin: Teach, photos: Photos) -> None:
    page = begin("soleil", "pluie", language="fr-FR")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Entraîner")
    fill(page, photos, "soleil", "pluie")
    expect(page.locator(".teach-button")).to_have_text("Entraîner")
    learn(page)
    expect(page.locator(".teach-verdict h1")).to_contain_text("Juste pour")
    expect(page.get_by_role("button", name="Mettre en service")).to_be_visible()
