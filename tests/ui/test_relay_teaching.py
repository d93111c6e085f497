"""What the page's relay passes on for the page Teach: its own paths alone, and for those who may administer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runtime.api.security.keys import new_key
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.web.page_visits import ask, choose, connected, load
from tests.support.web.reverse_proxy import rewriting
from ui.server.proxy import MAX_THUMBNAIL_BYTES, _thumbnail, is_allowed

KEY, ENTRY = new_key()
RELAY = "/ui/api/teach"
PATIENCE_S = 10


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Page and API without any key."""
    folder = tmp_path_factory.mktemp("teaching")
    options = ("--bundle", str(write_bundle(folder / "v7")), "--cache", str(folder / "cache"))
    with appliance(folder, *options, module=("ui",)) as running:
        yield running


def cookie(shown: httpx.Response) -> dict[str, str]:
    return {"cookie": shown.headers["set-cookie"].partition(";")[0]}


def overview(url: str, headers: dict[str, str]) -> int:
    """The status of the overview, once the page's channel has been heard, or in the end."""
    deadline = time.monotonic() + PATIENCE_S
    while (status := ask("GET", url + RELAY, headers=headers).status_code) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    return status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "teach"),
        ("POST", "teach"),
        ("GET", "teach/a1_-"),
        ("PATCH", "teach/a1"),
        ("DELETE", "teach/a1"),
        ("PUT", "teach/a1/classes"),
        ("DELETE", "teach/a1/model"),
        ("POST", "teach/a1/photos"),
        ("POST", "teach/a1/serve"),
        ("GET", "teach/inbox"),
        ("POST", "teach/inbox/accept"),
        ("POST", "teach/inbox/reject"),
        ("DELETE", "teach/inbox"),
    ],
)
def test_what_the_page_asks_is_passed_on(method: str, path: str) -> None:
    assert is_allowed(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "models"),
        ("GET", "metrics"),
        ("GET", "predict"),
        ("PUT", "teach"),
        ("POST", "models/pin"),
        ("POST", "teach/a1/../../models/rollback"),
        ("POST", "teach/a1/unheard-of"),
        ("DELETE", "teach/a1/photos"),
        ("DELETE", "models/a1"),
        ("GET", "teach/a1/photos/b2"),
        ("GET", "teach/a b"),
    ],
)
def test_nothing_else_is(page: Appliance, method: str, path: str) -> None:
    assert not is_allowed(method, path)
    assert ask(method, f"{page.url}/ui/api/{path}", headers={"origin": page.url}).status_code == 404


def test_the_operator_s_browser_reads_by_its_session_and_writes_by_its_origin(page: Appliance) -> None:
    shown = load(page.url + "/teaching")
    assert ask("GET", page.url + RELAY, headers=cookie(shown)).status_code == 403  # its channel has told nothing yet
    with connected(shown, origin=page.url):
        assert overview(page.url, cookie(shown)) == 200
    assert ask("GET", page.url + RELAY).status_code == 403  # no session
    assert ask("POST", page.url + RELAY, json={"name": "gate"}).status_code == 403  # no origin
    made = ask("POST", page.url + RELAY, json={"name": "gate"}, headers={"origin": page.url})
    assert made.status_code == 201
    address = f"{page.url}{RELAY}/{made.json()['id']}"
    sent = ask(
        "POST",
        f"{address}/photos?name=a.jpg",
        content=photo(),
        headers={"origin": page.url, "content-type": "image/jpeg"},
    )
    [added] = sent.json()["photos"]
    thumbnail = ask("GET", f"{address}/photos/{added['id']}/thumbnail", headers=cookie(shown))
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert thumbnail.headers["cache-control"].startswith("private")
    assert ask("GET", f"{address}/photos/{added['id']}/thumbnail").status_code == 404  # nothing to see without it
    assert ask("GET", f"{address}/photos/..%2f..%2fmodel/thumbnail", headers=cookie(shown)).status_code == 404


def test_a_stranger_behind_a_proxy_that_leaves_no_trace_is_none(page: Appliance) -> None:
    with rewriting(page.url) as outside:
        shown = load(outside + "/teaching")
        with connected(shown, origin=outside, **{"sec-fetch-site": "same-origin"}):
            time.sleep(0.5)  # for what would come late
            headers = cookie(shown) | {"sec-fetch-site": "same-origin"}
            assert ask("GET", outside + RELAY, headers=headers).status_code == 403
            made = ask("POST", outside + RELAY, json={"name": "gate"}, headers=headers | {"origin": outside})
            assert made.status_code == 403


def test_the_key_of_a_visitor_goes_with_what_they_ask_and_with_nobody_else_s(tmp_path: Path) -> None:
    options = ("--bundle", str(write_bundle(tmp_path / "v7")), "--cache", str(tmp_path / "cache"))
    with appliance(tmp_path, *options, module=("ui",), DANDELION_ADMIN_KEYS=ENTRY) as running:
        shown = load(running.url + "/teaching")
        with connected(shown) as channel:
            choose(channel, shown, key=KEY)
        assert ask("GET", running.url + RELAY, headers=cookie(shown)).status_code == 200
        assert ask("GET", running.url + RELAY, headers=cookie(load(running.url + "/teaching"))).status_code == 401


@pytest.mark.parametrize(
    ("status", "media_type", "data"),
    [
        (200, "text/html", b"<script>"),
        (200, "image/svg+xml", b"<svg/>"),
        (200, "image/jpeg", bytes(MAX_THUMBNAIL_BYTES + 1)),
        (404, "image/jpeg", b""),
    ],
)
def test_what_is_no_thumbnail_is_not_passed_on(status: int, media_type: str, data: bytes) -> None:
    answer = httpx.Response(status, headers={"content-type": media_type}, content=data)
    assert _thumbnail(answer).status_code == 404
