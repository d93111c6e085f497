"""The page's relay of photos: only its own page may use it, and the appliance counts visitors, not the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from runtime.api.security.keys import new_key
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.web.page_visits import CHANNEL, ask, choose, connected, load
from tests.support.web.reverse_proxy import rewriting
from tests.ui.app import app

KEY, ENTRY = new_key()
ALICE, BOB = "127.0.0.2", "127.0.0.3"
EVIL = "http://evil.example"
FEW = {"DANDELION_FEEDBACK_PHOTOS": "8"}  # of which one client may send a quarter


class Page(NamedTuple):
    url: str
    port: int


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bundle(tmp_path_factory.mktemp("bundle") / "v7"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, bundle: str) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    with appliance(folder, "--bundle", bundle, module=("ui",), DANDELION_HOSTS="meadow.example") as running:
        yield Page(running.url, running.port)


def predict(url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask("POST", url + "/ui/api/predict", content=photo(), headers={"content-type": "image/jpeg"} | named)


def correct(url: str, seed: int, address: str) -> int:
    form = {"files": {"file": photo("grass", seed)}, "data": {"label": "grass"}}
    return ask("POST", url + "/ui/api/feedback", address=address, **form).status_code  # type: ignore[arg-type]


def test_only_the_page_s_own_origin_may_send_photos(page: Page) -> None:
    assert predict(page.url, origin=page.url).status_code == 200
    assert predict(page.url, origin=page.url, sec_fetch_site="same-origin").status_code == 200
    for headers in ({"origin": EVIL}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}):
        assert predict(page.url, **headers).status_code == 403
    rebound = predict(page.url, origin=EVIL, host="evil.example")
    assert rebound.status_code == 403
    assert rebound.json()["detail"].startswith("`Host: evil.example` is no name of this appliance")


def test_the_channel_of_the_page_takes_nothing_from_another_site(page: Page) -> None:
    loaded = load(page.url + "/")
    with connected(loaded, origin=page.url):
        pass
    for headers in ({"origin": EVIL}, {"origin": EVIL, "host": "evil.example"}, {"origin": "null"}):
        with pytest.raises(InvalidStatus, match="403"), connected(load(page.url + "/"), **headers):
            pass
    polling = page.url + CHANNEL + "?EIO=4&transport=polling"
    assert load(polling, headers={"origin": EVIL}).status_code == 403
    assert load(polling, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert load(polling, headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_behind_a_proxy_that_rewrites_host_the_browser_s_word_on_the_site_suffices(page: Page) -> None:
    with rewriting(page.url) as outside:
        assert predict(outside, origin=outside, sec_fetch_site="same-origin").status_code == 200
        refused = predict(outside, origin=outside)
        assert refused.status_code == 403
        assert "a proxy must pass `Host` on, or send `X-Forwarded-Host`" in refused.json()["detail"]


def test_behind_a_proxy_that_is_trusted_the_forwarded_host_counts(tmp_path: Path, bundle: str) -> None:
    settings = {"DANDELION_TRUSTED_PROXIES": "127.0.0.1", "DANDELION_HOSTS": "meadow.example"}
    with appliance(tmp_path, "--bundle", bundle, module=("ui",), **settings) as running:
        with rewriting(running.url, x_forwarded_host="$host") as outside:
            assert predict(outside, origin=outside).status_code == 200
            named = {"host": "meadow.example", "origin": "https://meadow.example"}
            assert predict(outside, **named).status_code == 200
            assert predict(outside, host="evil.example", origin=EVIL).status_code == 403
            with connected(load(outside + "/"), origin=outside):
                pass
        with rewriting(running.url) as outside:
            refused = predict(outside, origin=outside)
            assert refused.status_code == 403
            assert refused.json()["detail"].endswith("the proxy sends no `X-Forwarded-Host`")


def test_visitors_have_shares_of_their_own_in_one_process(tmp_path: Path, bundle: str) -> None:
    data = ("--data", str(tmp_path / "data"))
    with appliance(tmp_path, "--bundle", bundle, *data, module=("ui",), **FEW) as running:
        assert [correct(running.url, seed, ALICE) for seed in range(3)] == [202, 202, 429]
        assert [correct(running.url, seed, BOB) for seed in range(3, 6)] == [202, 202, 429]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_remote_appliance_counts_visitors_if_it_trusts_the_page_s_host(
    tmp_path: Path, bundle: str, trusted: bool
) -> None:
    proxies = {"DANDELION_TRUSTED_PROXIES": "127.0.0.1"} if trusted else {}
    with ExitStack() as stack:
        data = ("--data", str(tmp_path / "data"))
        remote = stack.enter_context(appliance(tmp_path, "--bundle", bundle, *data, **FEW, **proxies))
        page = stack.enter_context(app(tmp_path, "--api", remote.url))
        assert [correct(page.url, seed, ALICE) for seed in range(3)] == [202, 202, 429]
        assert [correct(page.url, seed, BOB) for seed in range(3, 5)] == ([202, 202] if trusted else [429, 429])


def test_a_visitor_who_guesses_keys_slows_no_other_down(tmp_path: Path, bundle: str) -> None:
    keys = {"DANDELION_API_KEYS": ENTRY, "DANDELION_WRONG_KEYS": "3"}
    with appliance(tmp_path, "--bundle", bundle, module=("ui",), **keys) as running:
        guesses = [with_key(running.url, f"guess-{number}", ALICE) for number in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        assert with_key(running.url, KEY, BOB) == 200


def with_key(url: str, key: str, address: str) -> int:
    """Choose a key in the page and send a photo."""
    page = load(url + "/", address=address)
    with connected(page, address=address) as channel:
        choose(channel, page, key=key)
    headers = {"cookie": page.headers["set-cookie"].partition(";")[0], "content-type": "image/jpeg"}
    return ask("POST", url + "/ui/api/predict", address=address, content=photo(), headers=headers).status_code
