"""The page while its own server is away, and after it was started anew: it says so everywhere, and loses no photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit

Start = Callable[[], App]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server, each time on the same port."""
    bundle, port = write_bundle(tmp_path / "v7"), free_port()
    with ExitStack() as stack:
        yield lambda: stack.enter_context(app(tmp_path, "--bundle", str(bundle), port=port))


def test_photos_outlive_a_restart_of_the_server(visit: Visit, photos: Photos, start: Start):
    server = start()
    page = visit(server.url).open()
    add(page, photos(3))
    settled(page, 3)
    page.evaluate("window.mark = 'the same document'")
    assert server.stop() == 0
    expect(page.locator(".gone-notice .gone-words")).to_contain_text("photos that are on it stay")
    add(page, photos(1, "grass"))
    expect(page.locator(".pause")).to_contain_text("does not answer")
    start()
    settled(page, 4)
    expect(page.locator(".gone-notice .gone-words")).to_be_hidden()
    expect(page.locator(".card img")).to_have_count(4)
    assert page.evaluate("window.mark") == "the same document"
    assert page.locator(".card img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.get_by_role("link", name="Monitor").click()  # the server answers clicks again
    expect(page.get_by_role("heading", level=1)).to_have_text("Monitor")
    page.get_by_role("link", name="Classify").click()
    expect(page.locator(".card img")).to_have_count(4)


@pytest.mark.parametrize(
    ("language", "words"), [("en-GB", "Unreachable since"), ("fr-FR", "Injoignable depuis")], ids=["english", "french"]
)
def test_all_places_say_the_same_of_a_server_that_is_gone(visit: Visit, start: Start, language: str, words: str):
    server = start()
    page = visit(server.url, language=language).open("/monitor")
    expect(page.locator(".status-line .dot.up")).to_be_visible()
    assert server.stop() == 0
    told = [page.locator(f"{place} .gone-words") for place in (".state", ".status-line")]
    for place in told:
        expect(place).to_contain_text(words)
        expect(place).to_be_visible()
    assert told[0].inner_text() == told[1].inner_text()
    expect(page.locator(".state-words")).to_be_hidden()
    expect(page.locator(".status-line strong")).to_be_hidden()
    colours = {dot.evaluate("dot => getComputedStyle(dot).backgroundColor") for dot in page.locator(".dot").all()}
    assert colours == {page.evaluate(COLOUR_OF_BAD)}
    expect(page.locator("#popup")).to_be_hidden()  # which is in English, whatever the page speaks
    start()
    expect(page.locator(".status-line strong")).to_be_visible()
    expect(page.locator(".state .gone-words")).to_be_hidden()


COLOUR_OF_BAD = """() => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = "var(--bad)";
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}"""


def reconnected(page: Page) -> None:
    expect(page.locator("html.server-gone")).to_have_count(0)
    page.wait_for_function("() => window.socket.connected")


def test_a_lost_connection_is_taken_up_again_without_a_word(visit: Visit, photos: Photos, running: App):
    page = visit().open()
    add(page, photos(1))
    settled(page, 1)
    page.evaluate("window.socket.io.engine.close()")
    reconnected(page)
    page.get_by_role("button", name="Français").click()
    expect(page.locator(".card h2")).to_have_text("Pissenlit")
    expect(page.locator(".card img")).to_have_count(1)


def test_a_server_of_another_build_gets_a_page_of_its_own(visit: Visit, start: Start):
    server = start()
    page = visit(server.url).open()
    page.evaluate("document.querySelector('meta[name=page-build]').content = 'an older one'")
    page.evaluate("window.mark = 'the same document'")
    assert server.stop() == 0
    start()
    page.wait_for_function("() => window.mark === undefined && document.querySelector('.state .dot')")
