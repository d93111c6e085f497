"""What a browser navigates to and a program asks for, where page and API share a path."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("navigation")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v1")), module=("ui",)) as running:
        yield running


def get(url: str, accept: str | None = BROWSER, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, url, headers=named | ({"accept": accept} if accept else {}))


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/models", "/versions"),
        ("/models/", "/versions"),
        ("/models?a=b", "/versions?a=b"),
        ("/classify", "/"),
        ("/teach", "/teaching"),
        ("/monitor/", "/monitor"),
    ],
)
def test_a_browser_is_shown_the_page(server: Appliance, path: str, page: str) -> None:
    for method in ("GET", "HEAD"):
        answer = get(server.url + path, method=method)
        assert (answer.status_code, answer.headers["location"], answer.headers["vary"]) == (307, page, "accept")
    shown = httpx.get(server.url + path, headers={"accept": BROWSER}, follow_redirects=True)
    assert shown.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html;q=0.9"])
def test_a_program_gets_what_it_always_did(server: Appliance, accept: str | None) -> None:
    answer = get(server.url + "/models", accept)
    assert answer.json()["serving"] == "v1"
    assert answer.headers["vary"] == "accept"


def test_only_reading_is_navigation(server: Appliance) -> None:
    assert get(server.url + "/models", method="POST").status_code == 405
    assert get(server.url + "/model").json()["manifest"]["version"] == "v1"


def test_behind_a_prefix_the_page_is_below_it(server: Appliance) -> None:
    folder = server.log.parent / "prefixed"
    folder.mkdir()
    bundle = ("--bundle", str(server.log.parent / "v1"))
    with appliance(folder, *bundle, module=("ui",), DANDELION_PATH_PREFIX="/meadow") as running:
        assert get(running.url + "/meadow/models").headers["location"] == "/meadow/versions"
