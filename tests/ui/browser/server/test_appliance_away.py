"""The page in front of a remote appliance: stopped, started again, busy, behind keys, and the local model instead."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("away")
    write_bundle(folder / "v7")
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def page_only(folder: Path, port: int) -> Iterator[App]:
    store = open_store(str(folder / "store"))
    publish(write_bundle(folder / "v9"), store, tag=Catalogue(store).tag())
    local = ("--models", str(folder / "store"), "--cache", str(folder / "cache"))
    with app(folder, "--api", f"http://127.0.0.1:{port}", *local, "--log-level", "debug") as running:
        yield running


@pytest.fixture
def remote(folder: Path, port: int) -> Iterator[Callable[..., App]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(
            app(folder, "--bundle", str(folder / "v7"), *arguments, module="runtime", port=port)
        )


def test_an_appliance_that_stops_is_away_since_then_and_comes_back(
    visit: Visit, photos: Photos, page_only: App, remote: Callable[..., App]
):
    appliance = remote()
    monitor = visit(page_only.url).open("/monitor")
    expect(monitor.locator(".status-line")).to_contain_text("Up for")
    classify = visit(page_only.url).open()
    assert appliance.stop() == 0
    expect(monitor.locator(".status-line")).to_contain_text("Unreachable since")
    add(classify, photos(2))
    expect(classify.locator(".pause")).to_contain_text("does not answer. Trying again in")
    expect(classify.locator(".dot.away")).to_be_visible()
    remote()
    expect(monitor.locator(".status-line")).to_contain_text("Reachable again since")
    expect(monitor.locator(".strip .away").first).to_be_attached()
    settled(classify, 2)
    expect(classify.locator(".dot.up")).to_be_visible()


def test_a_busy_appliance_is_asked_again_after_a_count_down(
    visit: Visit, photos: Photos, page_only: App, remote: Callable[..., App]
):
    remote()
    guest = visit(page_only.url)
    page = guest.open()
    answers = [503, 503]

    def busy(route):  # the real refusal of a busy appliance, at a moment that the test chooses
        if answers:
            headers = {"retry-after": "14", "content-type": "application/json"}
            detail = '{"status_code": 503, "detail": "too much to do at the moment; try again in 14 s"}'
            route.fulfill(status=answers.pop(), headers=headers, body=detail)
        else:
            route.continue_()

    page.route("**/ui/api/explain", busy)
    add(page, photos(4))
    expect(page.locator(".pause")).to_contain_text(re.compile("The appliance is busy. Trying again in ([89]|1[0-4]) s"))
    expect(page.locator(".pause")).to_contain_text(re.compile("Trying again in [1-7] s"))
    settled(page, 4)
    expect(page.locator(".card.refused")).to_have_count(0)


def test_an_overloaded_appliance_answers_every_photo_in_the_end(
    visit: Visit, photos: Photos, page_only: App, remote: Callable[..., App]
):
    remote("--budget-ms", "10", "--threads", "1")
    page = visit(page_only.url).open()
    add(page, photos(30, size=(1600, 1200)))
    settled(page, 30, timeout=300_000)
    expect(page.locator(".card.refused")).to_have_count(0)


def test_a_key_is_asked_for_taken_and_neither_shown_nor_logged(
    visit: Visit, photos: Photos, page_only: App, remote: Callable[..., App]
):
    key = "meadow-key-1234567890"
    appliance = remote("--api-keys", f"sha256:{hashlib.sha256(key.encode()).hexdigest()}", "--log-level", "debug")
    page = visit(page_only.url).open()
    add(page, photos(1))
    expect(page.locator(".card.refused")).to_contain_text("The appliance asks for an API key")
    page.locator(".state").click()
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".card.done")).to_have_count(1)
    page.reload()
    page.wait_for_selector(".state .dot")
    assert key not in page.content()
    logs = appliance.log.read_text() + page_only.log.read_text()
    assert key not in logs
    assert "httpx" not in logs  # no line for each photo, either
    stranger = visit(page_only.url).open()
    add(stranger, photos(1))
    expect(stranger.locator(".card.refused")).to_contain_text("API key")


def test_the_local_model_is_pulled_from_the_store_and_answers_while_the_remote_one_is_away(
    visit: Visit, photos: Photos, page_only: App
):
    page = visit(page_only.url).open()
    expect(page.locator(".dot.away")).to_be_visible()
    page.locator(".state").click()
    page.get_by_label("The model on this machine").check()
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".dot.up")).to_be_visible()
    add(page, photos(1))
    settled(page, 1)
    expect(page.locator(".card h2")).to_have_text("Dandelion")
    page.get_by_role("link", name="Models").click()
    expect(page.locator(".status-line")).to_contain_text("Following the store")
    expect(page.locator(".version.serving h2")).to_have_text("v9")
    page.locator(".state").click()
    page.get_by_label("A remote appliance").check()
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".dot.away")).to_be_visible()


def test_the_relay_serves_the_page_alone(page_only: App):
    assert httpx.post(page_only.url + "/ui/api/models/pin", json={}).status_code == 404
    foreign = httpx.post(page_only.url + "/ui/api/predict", headers={"origin": "https://elsewhere.example"})
    assert foreign.status_code == 403
