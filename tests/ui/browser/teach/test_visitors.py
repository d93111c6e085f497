"""Whose photos these are: a reload and another tab, two people, and those who may not teach."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.models.bundles import write_bundle
from tests.support.suite.system_packages import needs
from tests.support.web.web_servers import plain_proxy
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.conftest import Visit
from tests.ui.browser.teach.conftest import Teach, add, count, name

KEY = "an-operator-s-key"
HOW = "make a key with \N{LEFT DOUBLE QUOTATION MARK}python -m runtime key\N{RIGHT DOUBLE QUOTATION MARK}"


def test_a_reload_loses_nothing(begin: Teach, photos: Photos) -> None:
    page = begin("ripe", "green")
    add(page, "ripe", photos(3))
    page.locator(".teach-head summary").click()
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("tomatoes")
    page.keyboard.press("Enter")
    expect(page.locator(".dataset-name")).to_have_text("tomatoes")
    page.reload()
    expect(page.locator(".dataset-name")).to_have_text("tomatoes")
    count(page, "ripe", 3)
    expect(page.locator(".tile")).to_have_count(3)


def test_the_language_is_switched_in_the_middle_of_it(begin: Teach, photos: Photos) -> None:
    page = begin()
    add(page, "grass", photos(2))
    page.get_by_role("button", name="Français").click()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Entraîner")
    count(page, "grass", 2)
    expect(page.locator(".teach-button")).to_have_text("Entraîner")


def test_two_people_do_not_mix_and_either_can_go_on_with_the_other_s(
    visit: Visit, begin: Teach, teachable: App, photos: Photos
) -> None:
    page = begin("Anna's cat", "Bob's cat")
    add(page, "Anna's cat", photos(2))
    other = visit(teachable.url).open("/teaching")
    expect(other.locator(".first-classes")).to_be_visible()
    name(other, "open", "shut")
    add(other, "open", photos(3, "grass"))
    page.wait_for_timeout(500)
    count(page, "Anna's cat", 2)
    expect(page.locator(".class-card")).to_have_count(2)
    other.locator(".teach-head summary").click()
    other.get_by_role("button", name="Begin another").click()
    other.locator(".go-on-with").filter(has_text="Anna's cat").first.click()
    count(other, "Anna's cat", 2)
    expect(other.locator(".tile")).to_have_count(2)


def test_what_another_browser_changes_is_seen(visit: Visit, begin: Teach, teachable: App, photos: Photos) -> None:
    page = begin("sun", "rain")
    other = visit(teachable.url).open("/teaching")
    other.locator(".go-on-with").filter(has_text="sun / rain").first.click()
    add(other, "rain", photos(2))
    count(page, "rain", 2)
    page.locator(".shelf-all").click()
    expect(page.locator(".tile")).to_have_count(2)


def test_a_dataset_is_deleted_after_a_question(begin: Teach, teachable: App, photos: Photos) -> None:
    page = begin("to go", "to stay")
    add(page, "to go", photos(2))
    page.locator(".teach-head summary").click()
    page.get_by_role("button", name="Delete all of it").click()
    expect(page.get_by_role("alertdialog")).to_contain_text("2 photos")
    page.get_by_role("alertdialog").get_by_role("button", name="Delete all of it").click()
    expect(page.locator(".first-classes")).to_be_visible()
    expect(page.locator(".go-on-with").filter(has_text="to go")).to_have_count(0)
    page.reload()
    expect(page.locator(".first-classes")).to_be_visible()


def test_a_dataset_that_was_deleted_elsewhere_is_left(visit: Visit, begin: Teach, teachable: App) -> None:
    page = begin("gone soon", "gone, too")
    other = visit(teachable.url).open("/teaching")
    other.locator(".go-on-with").filter(has_text="gone soon").first.click()
    other.locator(".teach-head summary").click()
    other.get_by_role("button", name="Delete all of it").click()
    other.get_by_role("alertdialog").get_by_role("button", name="Delete all of it").click()
    page.get_by_placeholder("New class").fill("late")
    page.keyboard.press("Enter")
    expect(page.locator(".first-classes")).to_be_visible()


def test_without_the_right_to_the_page_says_how_to_get_it_and_takes_it(visit: Visit, tmp_path: Path) -> None:
    entry = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    options = ("--bundle", str(write_bundle(tmp_path / "v7")), "--cache", str(tmp_path / "cache"))
    with app(tmp_path, *options, "--admin-keys", entry) as running:
        page = visit(running.url).open("/teach")  # typed into a browser
        expect(page).to_have_url(running.url + "/teaching")
        expect(page.locator(".admission")).to_contain_text("Teaching needs an admin key")
        expect(page.locator(".first-classes")).to_have_count(0)
        page.locator(".state").click()
        page.locator("dialog input[type=password]").fill(KEY)
        page.locator("dialog .button.primary").click()
        name(page, "open", "shut")
        expect(page.locator(".class-card")).to_have_count(2)
        assert httpx.get(running.url + "/teach").status_code == 401


@pytest.mark.parametrize("kind", [pytest.param(name, marks=needs(name)) for name in ("nginx", "caddy")])
def test_a_stranger_behind_a_proxy_on_that_machine_learns_how(
    visit: Visit, teachable: App, tmp_path: Path, kind: str
) -> None:
    with plain_proxy(kind, tmp_path, teachable.url, websockets=True) as outside:
        page = visit(outside).open("/teaching")
        expect(page.locator(".admission")).to_contain_text(HOW)
        expect(page.locator(".first-classes, .go-on-with")).to_have_count(0)
