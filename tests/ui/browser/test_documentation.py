from __future__ import annotations

from playwright.sync_api import expect

from tests.ui.browser.conftest import Visit


def test_the_documentation_page_shows_the_routes_and_asks_nobody_else(visit: Visit):
    guest = visit()
    guest.page.goto(guest.url + "/docs")
    expect(guest.page.locator("text=/predict").first).to_be_visible()
