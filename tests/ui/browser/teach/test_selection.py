"""Many photos at once: selected by mouse, finger and keys; labelled, moved, removed, and all of it taken back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.teach.conftest import Teach, add, card, count, selected, show_all
from tests.ui.browser.visitor import NARROW

EACH = 12


@pytest.fixture
def page(begin: Teach, photos: Photos) -> Page:
    """A wall of 24 photos, of two classes."""
    page = begin()
    for label in ("dandelion", "grass"):
        add(page, label, photos(EACH, label))
        count(page, label, EACH)
    expect(show_all(page)).to_have_count(2 * EACH)
    return page


def columns(page: Page) -> int:
    tops = page.locator(".tile").evaluate_all("tiles => tiles.map((tile) => tile.getBoundingClientRect().top)")
    return sum(top == tops[0] for top in tops)


def test_clicks_select_one_a_range_and_single_ones_more(page: Page) -> None:
    tiles = page.locator(".tile")
    tiles.nth(2).click()
    assert selected(page) == [2]
    tiles.nth(5).click(modifiers=["Shift"])
    assert selected(page) == [2, 3, 4, 5]
    tiles.nth(8).click(modifiers=["Control"])
    tiles.nth(3).click(modifiers=["Control"])
    assert selected(page) == [2, 4, 5, 8]
    expect(page.locator(".selection-bar .count")).to_have_text("4 selected")
    tiles.nth(9).locator(".check").click(force=True)
    assert selected(page) == [2, 4, 5, 8, 9]
    page.keyboard.press("Escape")
    assert selected(page) == []
    expect(page.locator(".selection-bar")).to_have_count(0)


def test_a_rectangle_selects_what_it_touches(page: Page) -> None:
    first = page.locator(".tile").first.bounding_box()
    wide = columns(page)
    second = page.locator(".tile").nth(wide + 1).bounding_box()
    assert first
    assert second
    page.mouse.move(first["x"] - 5, first["y"] - 4)
    page.mouse.down()
    page.mouse.move(second["x"] + 10, second["y"] + 10, steps=4)
    expect(page.locator(".rectangle")).to_be_visible()
    page.mouse.up()
    assert selected(page) == [0, 1, wide, wide + 1]
    expect(page.locator(".rectangle")).to_have_count(0)
    page.mouse.click(first["x"] - 5, first["y"] + 20)  # beside the tiles: nothing is selected
    assert selected(page) == []


def test_keys_select_label_remove_and_take_back(page: Page) -> None:
    wall = page.get_by_role("listbox")
    wall.focus()
    wide = columns(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert selected(page) == [wide + 1]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert selected(page) == [wide + 1, wide + 2, wide + 3]
    page.keyboard.press("Control+a")
    expect(page.locator(".selection-bar .count")).to_have_text(f"{2 * EACH} selected")
    page.keyboard.press("1")
    count(page, "dandelion", 2 * EACH)
    count(page, "grass", 0)
    expect(page.locator(".said")).to_have_text(f"{2 * EACH} photos moved to “dandelion”.")
    page.keyboard.press("Control+z")
    count(page, "grass", EACH)
    expect(page.locator(".said")).to_have_text("Undone.")
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(2 * EACH - 1)
    page.keyboard.press("End")
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(2 * EACH - 2)
    expect(wall).to_be_focused()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator(".tile")).to_have_count(2 * EACH)


def test_screen_readers_are_told_the_tile_at_hand_and_its_class(page: Page) -> None:
    wall = page.get_by_role("listbox", name="All photos")
    wall.focus()
    page.keyboard.press("End")
    last = page.locator(".tile").last
    assert wall.get_attribute("aria-activedescendant") == last.get_attribute("id")
    expect(last).to_have_attribute("aria-posinset", str(2 * EACH))
    expect(last).to_have_attribute("aria-setsize", str(2 * EACH))
    assert (last.get_attribute("aria-label") or "").endswith(", dandelion")


def test_photos_are_dragged_onto_a_class(page: Page) -> None:
    tiles = page.locator(".tile")  # the newest, grass, come first
    tiles.nth(0).click()
    tiles.nth(2).click(modifiers=["Shift"])
    tiles.nth(1).drag_to(card(page, "dandelion"))
    count(page, "dandelion", EACH + 3)
    count(page, "grass", EACH - 3)
    tiles.nth(8).drag_to(card(page, "dandelion"))  # one that was not selected
    count(page, "dandelion", EACH + 4)


def test_the_bar_moves_and_removes(page: Page) -> None:
    page.locator(".tile").first.click()
    page.locator(".selection-bar").get_by_role("button", name="dandelion").click()
    count(page, "dandelion", EACH + 1)
    page.locator(".tile").first.click()
    page.locator(".selection-bar").get_by_role("button", name="Remove").click()
    count(page, "dandelion", EACH)
    page.get_by_role("button", name="Undo removing").click()
    count(page, "dandelion", EACH + 1)


def test_typing_a_name_is_no_command(page: Page) -> None:
    page.locator(".tile").first.click()
    page.get_by_placeholder("New class").fill("12")
    page.keyboard.press("1")
    page.keyboard.press("Backspace")
    count(page, "dandelion", EACH)
    expect(page.locator(".tile")).to_have_count(2 * EACH)


def test_what_the_appliance_refuses_was_never_so(page: Page) -> None:
    problem = {"status_code": 507, "detail": "the disk is full; delete a dataset"}
    page.route("**/label", lambda route: route.fulfill(status=507, json=problem))
    page.locator(".tile").first.click()
    page.keyboard.press("1")
    expect(page.locator(".note.warn")).to_contain_text("The disk is full; delete a dataset.")
    expect(page.locator(".tile .tag").first).to_have_text("grass")
    count(page, "dandelion", EACH)


def test_on_a_phone_a_tap_selects_one_more(begin: Teach, photos: Photos) -> None:
    page = begin(size=NARROW)
    add(page, "grass", photos(6, "grass"))
    tiles = show_all(page)
    tiles.nth(0).tap()
    tiles.nth(2).tap()
    assert selected(page) == [0, 2]
    page.locator(".selection-bar").get_by_role("button", name="dandelion").tap()
    count(page, "dandelion", 2)
