"""The page behind a reverse proxy that writes a `Host` of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.models.bundles import write_bundle
from tests.support.suite.system_packages import needs
from tests.support.web.reverse_proxy import rewriting
from tests.support.web.web_servers import PREFIX, reverse_proxy
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit


def test_photos_are_classified_without_a_setting(visit: Visit, photos: Photos, running: App) -> None:
    with rewriting(running.url) as outside:
        page = visit(outside).open()
        add(page, photos(2))
        settled(page, 2)
        expect(page.locator(".card.refused")).to_have_count(0)


def test_photos_are_classified_through_a_proxy_that_is_trusted(visit: Visit, photos: Photos, trusting: App) -> None:
    with rewriting(trusting.url, x_forwarded_host="$host") as outside:
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


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Page and API that trust the proxies of this host."""
    folder = tmp_path_factory.mktemp("trusting")
    with app(folder, "--bundle", str(write_bundle(folder / "v1")), "--trusted-proxies", "127.0.0.1") as running:
        yield running


@pytest.mark.parametrize("prefix", [PREFIX, ""], ids=["below a path", "on a host of its own"])
@pytest.mark.parametrize("kind", [pytest.param(name, marks=needs(name)) for name in ("nginx", "caddy")])
def test_everything_works_behind_the_documented_proxies(
    visit: Visit, photos: Photos, trusting: App, tmp_path: Path, kind: str, prefix: str
) -> None:
    with reverse_proxy(kind, tmp_path, trusting.url, prefix=prefix) as outside:
        guest = visit(outside)  # which holds every request outside the prefix against the page
        failed: list[str] = []
        guest.page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        page = guest.open("/")
        add(page, photos(2))
        settled(page, 2)
        expect(page.locator(".card.refused")).to_have_count(0)
        assert page.evaluate("document.fonts.ready.then(fonts => [...fonts].some(font => font.status === 'loaded'))")
        page.locator("nav.pages a").nth(3).click()
        page.wait_for_url(outside + "/monitor")
        page.reload()
        page.wait_for_selector(".state .dot")
        page.goto(outside + "/docs")
        expect(page.locator("text=/predict").first).to_be_visible()
        assert httpx.get(outside + "/docs/openapi.json").json()["servers"] == [{"url": prefix or "/"}]
        assert httpx.head(outside + "/").status_code == 200
        assert failed == []
