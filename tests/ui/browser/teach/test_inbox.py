"""The view Inbox: what waits is labelled in bulk, deleted, and all of it emptied; and it says when it is off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from tests.support.photos import photo
from tests.support.waiting import wait_until
from tests.ui.app import App, app
from tests.ui.browser.conftest import Visit
from tests.ui.browser.pages.test_buttons import PHONE, tight
from tests.ui.browser.pages.test_pages import overflow, serious
from tests.ui.browser.pages.test_widths import clashes
from tests.ui.browser.teach.conftest import count, name, selected
from tests.ui.browser.visitor import NARROW, WIDE
from training.commands import feedback

KEPT = 6


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[App]:
    """Page and API that keep photos, with six in the inbox and two corrections."""
    options = ("--cache", str(tmp_path / "cache"), "--data", str(tmp_path / "data"))
    with app(tmp_path, *options, "--inbox-photos", "50", "--abstain", "1") as running:
        for seed in range(KEPT):
            send(running, "predict", photo("grass", seed))
        for seed in range(2):
            send(running, "feedback", photo("dandelion", 50 + seed), label="grass", predicted="dandelion")
        folder = tmp_path / "cache" / "teaching" / "photos" / "inbox"
        wait_until(lambda: len(list(folder.glob("*"))) == KEPT, seconds=60)
        yield running


def send(running: App, path: str, data: bytes, **fields: str) -> None:
    answer = httpx.post(f"{running.url}/{path}", files={"file": ("a.jpg", data)}, data=fields)
    assert answer.is_success, answer.text


def opened(visit: Visit, running: App, **options: object) -> Page:
    """The inbox beside two classes."""
    page = visit(running.url, **options).open("/teaching")
    name(page, "dandelion", "grass")
    page.get_by_role("button", name="Inbox").click()
    expect(page.locator(".tile")).to_have_count(KEPT + 2)
    return page


def test_photos_are_labelled_in_bulk_and_the_next_training_takes_them(visit: Visit, inbox: App, tmp_path: Path) -> None:
    page = opened(visit, inbox)
    expect(page.locator(".views button").nth(2)).to_have_text(f"Inbox {KEPT + 2}")
    expect(page.locator(".tile .tag").first).to_have_text("→ Grass")
    page.locator(".tile").nth(2).click()
    page.locator(".tile").nth(4).click(modifiers=["Shift"])
    assert selected(page) == [2, 3, 4]
    expect(page.locator(".selection-bar .move")).to_have_text(["1Dandelion", "2Grass", "0None of these"])
    page.locator(".selection-bar .move").nth(1).click()
    expect(page.locator(".tile")).to_have_count(KEPT - 1)
    expect(page.locator(".said")).to_have_text("3 photos are “grass” now.")
    page.keyboard.press("Control+z")
    expect(page.locator(".tile")).to_have_count(KEPT + 2)
    page.keyboard.press("Escape")
    page.locator(".tile").nth(2).click()
    page.locator(".tile").nth(4).click(modifiers=["Shift"])
    page.locator(".selection-bar .move").nth(1).click()
    expect(page.locator(".undo-link")).to_be_visible()
    page.locator(".views button").first.click()
    count(page, "grass", 3)
    raw = tmp_path / "raw"
    for label in ("dandelion", "grass"):
        (raw / label).mkdir(parents=True)
        (raw / label / "0.jpg").write_bytes(photo(label, 90))
    command = ["apply", "--data", str(tmp_path / "data"), "--raw", str(raw)]
    assert CliRunner().invoke(feedback, command, catch_exceptions=False).output.endswith(": 3\n")
    assert len(list((raw / "grass").glob("feedback-*"))) == 3


def test_keys_label_and_delete_and_the_wall_keeps_the_place(visit: Visit, inbox: App, tmp_path: Path) -> None:
    page = opened(visit, inbox)
    wall = page.get_by_role("listbox")
    wall.focus()
    page.keyboard.press("2")  # the first correction is right
    expect(page.locator(".tile")).to_have_count(KEPT + 1)
    page.keyboard.press("0")  # the second shows neither
    expect(page.locator(".tile")).to_have_count(KEPT)
    expect(page.locator(".said")).to_have_text("One photo shows none of these.")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(KEPT - 2)
    expect(page.locator(".said")).to_have_text("2 photos deleted.")
    wait_until(lambda: len(list((tmp_path / "cache/teaching/photos/inbox").glob("*"))) == KEPT - 2, seconds=30)
    told = [json.loads(file.read_text()) for file in (tmp_path / "data").rglob("feedback/**/*.json")]
    assert sorted((one["label"], one["reviewed"]) for one in told) == [
        ("(unknown)", "accepted"), ("grass", "accepted"), ("grass", "rejected"),
    ]  # fmt: skip
    page.reload()
    page.get_by_role("button", name="Inbox").click()
    expect(page.locator(".tile")).to_have_count(KEPT - 2)


def test_one_kind_is_shown_alone(visit: Visit, inbox: App) -> None:
    page = opened(visit, inbox)
    page.get_by_role("button", name="Corrections").click()
    expect(page.locator(".tile")).to_have_count(2)
    page.get_by_role("button", name="Unsure").click()
    expect(page.locator(".tile")).to_have_count(KEPT)
    page.locator(".kinds").get_by_role("button", name="None of these").click()
    expect(page.locator(".wall-empty .big")).to_have_text("Nothing waits")


def test_all_of_it_is_deleted_after_a_question(visit: Visit, inbox: App, tmp_path: Path) -> None:
    page = opened(visit, inbox)
    page.locator(".inbox-end .danger").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text(f"the {KEPT + 2} photos that wait? No version taught here has learned from them.")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.locator(".tile")).to_have_count(KEPT + 2)
    page.locator(".inbox-end .danger").click()
    dialog.get_by_role("button", name="Delete all of it").click()
    expect(page.locator(".wall-empty .big")).to_have_text("Nothing waits")
    assert not list((tmp_path / "cache/teaching/photos").glob("*/*"))
    assert not list((tmp_path / "data").rglob("*.jpeg"))


def test_the_question_names_the_versions_that_learned_from_the_inbox(visit: Visit, inbox: App) -> None:
    with httpx.Client(base_url=inbox.url, headers={"origin": inbox.url}, timeout=60) as operator:
        dataset = "/teach/" + operator.post("/teach", json={"name": "meadow"}).json()["id"]
        for label in ("dandelion", "grass"):
            operator.put(f"{dataset}/classes", json={"label": label})
            files = [("files", (f"{seed}.jpg", photo(label, 100 + seed))) for seed in range(4)]
            operator.post(f"{dataset}/photos", params={"label": label}, files=files)
        waiting = operator.get("/teach/inbox", params={"kind": "uncertain", "limit": 2}).json()["photos"]
        body = {"photos": [one["id"] for one in waiting], "label": "grass", "dataset": dataset.rpartition("/")[2]}
        assert operator.post("/teach/inbox/accept", json=body).is_success
        assert operator.post(f"{dataset}/train").status_code == 202
        wait_until(lambda: operator.get(dataset).json()["run"]["state"] == "done", seconds=120)
        version = operator.get(dataset).json()["version"]
    page = visit(inbox.url).open("/teaching")
    page.locator(".inbox-way button").click()
    expect(page.locator(".inbox-end")).to_contain_text(f"Learned from it: {version} (meadow)")
    page.locator(".inbox-end .danger").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text(f"the {KEPT} photos that wait, and the 2 that have joined classes from here?")
    expect(dialog).to_contain_text(f"keep what they learned: {version} (meadow).")
    dialog.get_by_role("button", name="Delete all of it").click()
    expect(page.locator(".wall-empty .big")).to_have_text("Nothing waits")


def test_visitors_are_told_that_photos_are_kept(visit: Visit, inbox: App) -> None:
    page = visit(inbox.url).open("/")
    expect(page.locator(".privacy")).to_contain_text("it keeps those for up to 30 days")
    assert httpx.get(f"{inbox.url}/health").json()["keeps"] == {"photos": 50, "days": 30.0}


def test_corrections_are_reviewed_without_any_classes(visit: Visit, inbox: App) -> None:
    page = visit(inbox.url).open("/teaching")
    page.locator(".inbox-way button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Inbox")
    page.get_by_role("button", name="Corrections").click()
    expect(page.locator(".tile")).to_have_count(2)
    page.get_by_role("button", name="Select all").click()
    page.locator(".selection-bar .move").nth(1).click()
    expect(page.locator(".wall-empty .big")).to_have_text("Nothing waits")
    page.get_by_role("button", name="Back to the beginning").click()
    expect(page.locator(".first-classes")).to_be_visible()


def test_an_inbox_that_is_off_says_how_it_is_turned_on(visit: Visit, tmp_path: Path) -> None:
    with app(tmp_path, "--cache", str(tmp_path / "cache")) as running:
        page = visit(running.url).open("/teaching")
        name(page, "dandelion", "grass")
        page.get_by_role("button", name="Inbox").click()
        expect(page.locator(".inbox-off")).to_contain_text("The inbox is off: no photo is kept.")
        expect(page.locator(".inbox-off code")).to_have_text("DANDELION_INBOX_PHOTOS=500")
        assert serious(page) == []


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_there_is_no_serious_barrier(visit: Visit, inbox: App, size: dict[str, int], dark: bool) -> None:
    page = opened(visit, inbox, size=size, dark=dark)
    assert serious(page) == []
    page.locator(".tile").nth(1).click()
    assert serious(page) == []
    assert overflow(page) <= 0
    page.keyboard.press("Escape")
    page.locator(".inbox-end .danger").click()
    assert serious(page) == []


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_nothing_overlaps_and_buttons_keep_their_padding(visit: Visit, inbox: App, language: str) -> None:
    page = visit(inbox.url, size=PHONE, language=language).open("/teaching")
    name(page, "dandelion", "grass")
    page.locator(".views button").nth(2).click()
    expect(page.locator(".tile")).to_have_count(KEPT + 2)
    expect(page.locator(".inbox h2")).to_have_text("Inbox" if language == "en-GB" else "À trier")
    page.locator(".tile").nth(1).click()
    assert tight(page) == []
    page.locator(".selection-bar .link").click()
    page.set_viewport_size(WIDE)
    assert clashes(page) == {}
