"""The page behind a reverse proxy that writes a `Host` of its own."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.support.bundles import write_bundle
from tests.support.reverse_proxy import rewriting
from tests.ui.app import App, app
from tests.ui.browser.conftest import Visit
from tests.ui.browser.test_classify import Photos, add, settled


def test_photos_are_classified_without_a_setting(visit: Visit, photos: Photos, running: App) -> None:
    with rewriting(running.url) as outside:
        page = visit(outside).open()
        add(page, photos(2))
        settled(page, 2)
        expect(page.locator(".card.refused")).to_have_count(0)


def test_photos_are_classified_through_a_proxy_that_is_trusted(visit: Visit, photos: Photos, tmp_path: Path) -> None:
    bundle = str(write_bundle(tmp_path / "v1"))
    with (
        app(tmp_path, "--bundle", bundle, "--trusted-proxies", "127.0.0.1") as running,
        rewriting(running.url, x_forwarded_host="$host") as outside,
    ):
        page = visit(outside).open()
        add(page, photos(2))
        settled(page, 2)
        expect(page.locator(".card.refused")).to_have_count(0)


def test_a_page_that_is_not_recognised_says_what_to_mend(visit: Visit, photos: Photos, running: App) -> None:
    with rewriting(running.url, sec_fetch_site="cross-site") as outside:
        page = visit(outside).page
        page.goto(outside)
        add(page, photos(1))
        expect(page.locator(".card.refused")).to_contain_text("DANDELION_CORS")
