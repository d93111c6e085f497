"""The button: from photos to a report, to a model that is tried, served, or thrown away."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.photos import photo
from tests.ui.app import App
from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.conftest import Visit
from tests.ui.browser.teach.conftest import Teach, add, card, count, show_all
from tests.ui.browser.visitor import until

EACH = 8


@pytest.fixture
def page(begin: Teach, photos: Photos) -> Page:
    """Two classes that are easily told apart, but for one photo that is in the wrong one; and the report of them."""
    page = begin("yellow", "green")
    add(page, "yellow", photos(EACH, "dandelion"))
    add(page, "green", [*photos(EACH, "grass"), *wrong(photos)])
    page.locator(".teach-button").click()
    expect(page.locator(".teach-verdict h1")).to_be_visible()
    return page


def wrong(photos: Photos) -> list[Path]:
    [file] = photos(1, "misplaced")
    file.write_bytes(photo("dandelion", 99))
    return [file]


def test_the_report_says_how_good_it_is_and_how_sure_that_is(page: Page) -> None:
    photos = 2 * EACH + 1
    expect(page.locator(".teach-verdict h1")).to_have_text(re.compile(rf"Right for \d+ of {photos} photos"))
    expect(page.locator(".teach-verdict h1")).to_be_focused()
    expect(page.locator(".accuracy .whisker")).to_have_attribute("aria-label", re.compile("between .*% and .*%"))
    span = page.locator(".accuracy .span").bounding_box()
    point = page.locator(".accuracy .point").bounding_box()
    assert span
    assert point
    assert span["width"] > 10
    assert span["x"] - 3 <= point["x"] <= span["x"] + span["width"] + 3
    expect(page.locator(".by-class > ul").first.locator("li b")).to_have_text(["yellow", "green"])
    expect(page.locator(".by-class .whisker")).to_have_count(2)
    expect(page.locator(".views button").nth(1)).to_contain_text("%")


def test_progress_is_told_while_it_learns(begin: Teach, photos: Photos) -> None:
    page = begin("yellow", "green")
    for label, kind in (("yellow", "dandelion"), ("green", "grass")):
        add(page, label, photos(EACH, kind))
    now: dict[str, object] = {}
    seen: list[str] = []

    def running(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | ({"run": now} if now else {}))

    page.route(re.compile(r"/teach/[\w-]+$"), running)
    for state, done, total, words in (
        ("features", 3, 16, "Looking at the photos: 3 of 16"),
        ("learning", 1, 5, "Learning…"),
        ("checking", 0, 1, "Checking the new model…"),
    ):
        now.update(state=state, done=done, total=total, detail=None, seconds=1.0)
        if not seen:
            page.locator(".teach-button").click()
        expect(page.locator(".run-words")).to_have_text(words)
        seen.append(page.locator(".teach-block [role=progressbar]").get_attribute("aria-valuenow") or "")
    assert seen == sorted(seen, key=int)
    now.clear()
    expect(page.locator(".teach-verdict h1")).to_be_visible()


def test_a_doubtful_photo_is_moved_in_one_click_and_taught_again(page: Page) -> None:
    doubt = page.locator(".doubtful li").first
    expect(doubt).to_contain_text("In green")
    doubt.get_by_role("button", name="Move to yellow").click()
    expect(page.locator(".outdated")).to_contain_text("Teach again")
    page.locator(".outdated .teach-button").click()
    expect(page.locator(".outdated")).to_have_count(0)
    page.locator(".views button").first.click()
    count(page, "yellow", EACH + 1)


def test_a_doubtful_photo_is_removed_or_kept(page: Page) -> None:
    doubts = page.locator(".doubtful li")
    before = doubts.count()
    doubts.first.get_by_role("button", name="Keep").click()
    expect(doubts).to_have_count(before - 1)
    page.reload()
    expect(doubts).to_have_count(before)
    doubts.first.get_by_role("button", name="Remove").click()
    expect(doubts).to_have_count(before - 1)
    expect(page.locator(".note.undo")).to_contain_text("One photo removed.")
    page.keyboard.press("Control+z")
    expect(doubts).to_have_count(before)


def test_it_is_tried_on_photos_and_on_the_camera_beside_what_serves(page: Page, photos: Photos) -> None:
    page.locator(".trial input[type=file]").set_input_files(photos(2, "grass"))
    rows = page.locator(".tried .answers")
    expect(rows).to_have_count(2)
    expect(rows.first.locator(".answer-side.taught b")).not_to_be_empty()
    expect(rows.first.locator(".answer-side.serving small")).to_have_text("Serves now")
    page.get_by_role("button", name="Live camera").click()
    expect(page.locator(".try-live .answer-side.taught .percent")).to_contain_text("%")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".try-live")).to_have_count(0)


def test_serving_is_one_more_click_and_says_what_it_replaces(page: Page, teachable: App) -> None:
    before = httpx.get(teachable.url + "/health").json()["model"]["version"]
    expect(page.locator(".serve-row .small")).to_contain_text("It takes the place of")
    page.get_by_role("button", name="Serve", exact=True).click()
    expect(page.locator(".serve-row .thanks")).to_contain_text("serves now")
    model = httpx.get(teachable.url + "/model").json()["manifest"]
    assert model["version"] != before
    assert sorted(model["labels"]) == ["green", "yellow"]
    page.get_by_role("link", name="All models").click()
    expect(page.locator(".version.serving h2")).to_have_text(model["version"])
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator(".version.serving h2")).to_have_text(before)


def test_what_was_taught_is_thrown_away(page: Page) -> None:
    page.get_by_role("button", name="Throw it away").click()
    expect(page.locator(".said")).to_contain_text("thrown away")
    expect(page.locator(".views button").nth(1)).to_be_disabled()
    page.reload()
    expect(show_all(page)).to_have_count(2 * EACH + 1)


def test_a_reload_goes_on_with_the_result(page: Page) -> None:
    page.reload()
    expect(page.locator(".teach-verdict h1")).to_be_visible()
    expect(page.get_by_role("button", name="Serve", exact=True)).to_be_enabled()


def test_why_it_could_not_learn_is_said(begin: Teach, photos: Photos) -> None:
    page = begin("one", "same")
    add(page, "one", photos(1))
    expect(page.locator("#teach-why")).to_contain_text("needs 2 more")
    problem = {"status_code": 409, "detail": "one: all of its photos are copies of one; add others"}
    page.route("**/train", lambda route: route.fulfill(status=409, json=problem))
    add(page, "one", photos(3, "grass"))
    add(page, "same", photos(4))  # of which one is there already
    page.locator(".teach-button").click()
    expect(page.locator(".note.warn")).to_contain_text("all of its photos are copies of one")


def test_an_example_set_is_one_click(visit: Visit, teachable: App) -> None:
    page = visit(teachable.url).open("/teaching")
    page.get_by_role("button", name="Gate open or shut").click()
    expect(page.locator(".teach-button")).to_be_enabled()
    tiles = page.locator(".tile:not(.coming)")
    until(page, lambda: tiles.count() > 20)
    expect(card(page, "gate open")).to_be_visible()
    page.get_by_role("button", name="Undo the example").click()
    expect(tiles).to_have_count(0)
