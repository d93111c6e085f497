"""The page Teach while its server is away, and after it was started anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos
from tests.ui.browser.conftest import Visit
from tests.ui.browser.teach.conftest import Teach, add, card, count, name

Start = Callable[[], App]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server, each time on the same port."""
    options = ("--bundle", str(write_bundle(tmp_path / "v7")), "--cache", str(tmp_path / "cache"))
    port = free_port()
    with ExitStack() as stack:
        yield lambda: stack.enter_context(app(tmp_path, *options, port=port))


def test_photos_go_on_their_way_when_the_server_is_back(visit: Visit, photos: Photos, start: Start) -> None:
    server = start()
    page = visit(server.url).open("/teaching")
    name(page, "dandelion", "grass")
    add(page, "dandelion", photos(3))
    page.evaluate("window.mark = 'the same document'")
    assert server.stop() == 0
    card(page, "dandelion").locator("input[type=file]").set_input_files(photos(5))
    expect(page.locator(".arriving")).to_contain_text("it goes on by itself")
    start()
    count(page, "dandelion", 5)
    expect(page.locator(".arriving, .left-out")).to_have_count(0)
    assert page.evaluate("window.mark") == "the same document"
    page.reload()
    count(page, "dandelion", 5)
    expect(page.locator(".tile img")).to_have_count(5)
    assert page.locator(".tile img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_a_thumbnail_that_did_not_come_is_asked_for_again(begin: Teach, photos: Photos) -> None:
    page = begin()
    failed = []

    def fail_once(route: Route) -> None:
        failed.append(route.request.url)
        route.fulfill(status=502, json={}) if len(failed) == 1 else route.fallback()

    page.route("**/thumbnail*", fail_once)
    add(page, "dandelion", photos(1))
    page.wait_for_function("() => document.querySelector('.tile img')?.naturalWidth > 0")
    assert len(failed) == 2


def test_photos_that_were_refused_for_want_of_a_key_are_sent_again_with_it(begin: Teach, photos: Photos) -> None:
    page = begin()
    problem = {"status_code": 401, "detail": "this asks for an administrator's key"}
    page.route("**/photos?source=*", lambda route: route.fulfill(status=401, json=problem))
    add(page, "dandelion", photos(2))
    expect(page.locator(".left-out")).to_contain_text("Appliance and API key")
    page.unroute("**/photos?source=*")
    page.locator(".state").click()
    page.locator("dialog .button.primary").click()
    count(page, "dandelion", 2)
    expect(page.locator(".left-out")).to_have_count(0)
