from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from runtime.api.security.keys import new_key
from tests.support.models.bundles import write_bundle
from tests.ui.app import app
from tests.ui.browser.conftest import Visit


def test_the_documentation_page_shows_the_routes_and_asks_nobody_else(visit: Visit):
    guest = visit()
    guest.page.goto(guest.url + "/docs")
    expect(guest.page.locator("text=/predict").first).to_be_visible()


def test_a_key_that_is_typed_into_authorize_is_sent(visit: Visit, tmp_path: Path):
    key, entry = new_key()
    bundle = str(write_bundle(tmp_path / "v1"))
    with app(tmp_path, "--bundle", bundle, module="runtime", DANDELION_API_KEYS=entry) as running:
        page = visit(running.url).page
        page.goto(running.url + "/docs")
        page.locator("button.authorize").first.click()
        page.get_by_label("auth-apikey-value").or_(page.locator("#api_key_value")).first.fill(key)
        page.locator(".auth-btn-wrapper button.authorize").first.click()
        page.locator(".btn-done").first.click()
        route = page.locator("#operations-Model-ModelModel, [id^=operations-Model]").filter(has_text="The active model")
        route.locator(".opblock-summary-control").click()
        with page.expect_response(lambda answer: answer.url.endswith("/model")) as answer:
            route.locator("button.execute").click()
        assert answer.value.status == 200
