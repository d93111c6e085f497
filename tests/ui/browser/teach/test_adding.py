"""Classes, and photos that come by picker, folder, drop, paste, and the camera held down."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.photos import photo
from tests.ui.app import App
from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.conftest import Visit
from tests.ui.browser.teach.conftest import Teach, add, card, count, name, show_all
from tests.ui.browser.visitor import NARROW, WIDE

# Pastes files, as the browser does.
PASTE = """(element, files) => {
  const clipboardData = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    clipboardData.items.add(new File([bytes], name, { type }));
  }
  element.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData }));
}"""


def paste(page: Page, files: Sequence[Path]) -> None:
    given = [[file.name, "image/jpeg", base64.b64encode(file.read_bytes()).decode()] for file in files]
    page.locator("body").evaluate(PASTE, given)


def let_go(page: Page, selector: str, paths: Sequence[Path]) -> None:
    """Drop files or folders of this computer, by the browser's own means."""
    box = page.locator(selector).first.bounding_box()
    assert box
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    channel = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        channel.send("Input.dispatchDragEvent", {"type": kind, "data": data} | place)


def folders(place: Path, **photos: int) -> list[Path]:
    """A folder for each name, of so many photos, and a file that is none."""
    made = [place / name for name in photos]
    for folder, most in zip(made, photos.values(), strict=True):
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("no photo")
        for seed in range(most):
            (folder / f"{seed}.jpg").write_bytes(photo(seed=seed + 100 * sum(map(ord, folder.name))))
    return made


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_two_names_make_two_classes_and_photos_come_by_the_picker(
    begin: Teach, photos: Photos, size: dict[str, int]
) -> None:
    page = begin("gate open", "gate shut", size=size)
    expect(page.locator(".teach-button")).to_be_disabled()
    expect(page.locator("#teach-why")).to_have_text("“gate open” needs 3 more.")
    add(page, "gate open", photos(3))
    count(page, "gate open", 3)
    expect(page.locator("#teach-why")).to_have_text("“gate shut” needs 3 more.")
    add(page, "gate shut", photos(4, "grass"))
    tiles = show_all(page)
    expect(tiles).to_have_count(7)
    expect(tiles.first.locator("img")).to_have_js_property("complete", True)
    assert tiles.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator(".teach-button")).to_be_enabled()


def test_the_first_two_names_must_be_given(visit: Visit, teachable: App) -> None:
    page = visit(teachable.url).open("/teaching")
    page.locator(".first-classes .primary").click()
    expect(page.locator(".first-classes input:invalid").first).to_be_focused()
    expect(page.locator(".class-card")).to_have_count(0)


def test_a_folder_of_folders_is_chosen_and_becomes_classes(visit: Visit, teachable: App, tmp_path: Path) -> None:
    folders(tmp_path / "fruit", ripe=3, green=4)
    page = visit(teachable.url).open("/teaching")
    page.locator(".first-classes input[webkitdirectory]").set_input_files(tmp_path / "fruit")
    count(page, "ripe", 3)
    count(page, "green", 4)
    expect(page.locator(".left-out")).to_have_count(0)


@pytest.mark.parametrize("whole", [True, False], ids=["the folder around them", "each"])
def test_folders_that_are_dropped_become_classes(visit: Visit, teachable: App, tmp_path: Path, whole: bool) -> None:
    each = folders(tmp_path / "fruit", ripe=3, green=4)
    page = visit(teachable.url).open("/teaching")
    expect(page.locator(".first-classes")).to_be_visible()
    let_go(page, ".desk", [tmp_path / "fruit"] if whole else each)
    count(page, "ripe", 3)
    count(page, "green", 4)
    expect(page.locator(".left-out")).to_have_count(0)


def test_a_folder_of_a_class_that_is_there_joins_it(begin: Teach, tmp_path: Path) -> None:
    page = begin("Gate open", "Gate shut")
    page.locator(".shelf-all").click()
    let_go(page, ".wall-side", folders(tmp_path, **{"gate open": 3, "(unknown)": 1, "gate ajar": 2})[:1])
    count(page, "Gate open", 3)
    let_go(page, ".wall-side", [tmp_path])
    count(page, "gate ajar", 2)
    expect(page.locator(".class-card")).to_have_count(3)
    expect(page.locator(".arriving, .left-out")).to_have_count(0)


def test_a_folder_that_is_dropped_on_a_class_belongs_to_it(begin: Teach, tmp_path: Path) -> None:
    page = begin()
    let_go(page, ".class-card:has-text('grass')", folders(tmp_path, lawn=3))
    count(page, "grass", 3)
    expect(page.locator(".class-card")).to_have_count(2)


def test_photos_are_dropped_on_a_class_and_beside_it(begin: Teach, photos: Photos) -> None:
    page = begin()
    files = photos(5)
    let_go(page, ".class-card:has-text('grass')", files[:2])
    count(page, "grass", 2)
    page.locator(".shelf-all").click()
    let_go(page, ".wall-side", files[2:])
    expect(page.locator(".class-card.loose b")).to_have_text("3")


def test_photos_are_pasted_into_the_class_in_view(begin: Teach, photos: Photos) -> None:
    page = begin()
    paste(page, photos(2))
    count(page, "dandelion", 2)


def test_the_camera_held_down_takes_one_photo_after_the_other(begin: Teach) -> None:
    page = begin()
    card(page, "grass").get_by_role("button", name="Take photos of grass").click()
    shutter = page.locator(".shutter")
    shutter.hover()
    page.mouse.down()
    expect(page.locator(".taken")).to_have_text(re.compile(r"^[5-9] photos taken|^\d\d+ photos taken"))
    page.mouse.up()
    page.get_by_role("button", name="Done").click()
    page.wait_for_timeout(1000)  # for what was on its way
    expect(page.locator(".arriving")).to_have_count(0)
    taken = int(card(page, "grass").locator(".class-head b").inner_text())
    assert taken >= 2
    page.wait_for_timeout(500)
    count(page, "grass", taken)


def test_the_space_bar_takes_photos_too(begin: Teach) -> None:
    page = begin()
    card(page, "grass").get_by_role("button", name="Take photos of grass").click()
    page.locator(".shutter").focus()
    page.keyboard.down("Space")
    expect(page.locator(".taken")).to_be_visible()
    page.keyboard.up("Space")
    expect(page.locator(".shutter.holding")).to_have_count(0)


def test_where_there_is_no_camera_the_page_says_what_it_needs(visit: Visit, teachable: App) -> None:
    guest = visit(teachable.url)
    guest.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page = guest.open("/teaching")
    name(page, "a", "b")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("dialog .trouble")).to_contain_text("https or on localhost")


def test_what_cannot_be_read_is_named_and_left_out(begin: Teach, photos: Photos, tmp_path: Path) -> None:
    page = begin()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo()[:1500])
    notes = tmp_path / "notes.jpg"
    notes.write_text("These are notes.")
    add(page, "dandelion", [*photos(2), broken, notes])
    count(page, "dandelion", 2)
    expect(page.locator(".left-out")).to_contain_text("2 files were left out")
    expect(page.locator(".left-out li b")).to_have_text(["broken.jpg", "notes.jpg"])
    page.locator(".left-out").get_by_role("button", name="Dismiss").click()
    expect(page.locator(".left-out")).to_have_count(0)


def test_why_a_photo_is_left_out_is_said_in_the_visitor_s_language(begin: Teach, tmp_path: Path) -> None:
    page = begin(language="fr-FR")
    notes = tmp_path / "notes.jpg"
    notes.write_text("These are notes.")
    add(page, "grass", [notes])
    expect(page.locator(".left-out")).to_contain_text("Un fichier laissé de côté")
    expect(page.locator(".left-out li")).to_contain_text("pas une photo dans un format accepté. Envoyez JPEG")


def test_a_photo_that_is_there_is_not_there_twice(begin: Teach, photos: Photos) -> None:
    page = begin()
    files = photos(2)
    add(page, "dandelion", files)
    add(page, "dandelion", files)
    expect(page.locator(".note")).to_contain_text("2 photos were there already")
    count(page, "dandelion", 2)


def test_a_busy_appliance_is_asked_again(begin: Teach, photos: Photos) -> None:
    page = begin()
    turned_away = []

    def busy(route: Route) -> None:
        turned_away.append(route)
        if len(turned_away) <= 2:
            route.fulfill(status=503, headers={"retry-after": "1"}, json={"status_code": 503, "detail": "busy"})
        else:
            route.fallback()

    page.route("**/photos?source=*", busy)
    add(page, "dandelion", photos(4))
    count(page, "dandelion", 4)
    assert len(turned_away) > 4


def test_classes_are_made_renamed_and_removed(begin: Teach, photos: Photos) -> None:
    page = begin()
    page.get_by_placeholder("New class").fill("moss")
    page.keyboard.press("Enter")
    add(page, "moss", photos(2))
    card(page, "moss").locator("summary").click()
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("deep moss")
    page.keyboard.press("Enter")
    count(page, "deep moss", 2)
    card(page, "deep moss").locator("summary").click()
    page.get_by_role("button", name="Remove the class").click()
    expect(card(page, "deep moss")).to_have_count(0)
    expect(page.locator(".class-card.loose b")).to_have_text("2")
    page.get_by_role("button", name="Undo removing the class").click()
    count(page, "deep moss", 2)


def test_a_menu_is_left_by_escape_and_by_a_click_elsewhere(begin: Teach) -> None:
    page = begin()
    more = card(page, "grass").locator("summary")
    rename = page.get_by_role("button", name="Rename")
    more.focus()
    page.keyboard.press("Enter")
    expect(rename).to_be_visible()
    page.keyboard.press("Escape")
    expect(rename).to_be_hidden()
    expect(more).to_be_focused()
    more.click()
    expect(rename).to_be_visible()
    page.locator(".wall-side h2").click()
    expect(rename).to_be_hidden()


def test_the_name_of_a_class_that_is_there_leads_to_it(begin: Teach) -> None:
    page = begin()
    page.get_by_placeholder("New class").fill("Grass")
    page.keyboard.press("Enter")
    expect(card(page, "grass")).to_have_class("class-card on")
    expect(page.locator(".class-card")).to_have_count(2)
