"""What anybody may take of the page's memory: pages that never connect, channels without a page, sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.web.page_visits import CHANNEL, ask, choose, connected, has_key, load
from tests.ui.app import app

WAITING, OPEN = 8, 16
ALICE, BOB, CAROL, DAVE = (f"127.0.0.{number}" for number in (2, 3, 4, 5))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bundle(tmp_path_factory.mktemp("bundle") / "v7"))


@pytest.fixture
def server(tmp_path: Path, bundle: str) -> Iterator[Appliance]:
    limits = {"DANDELION_PAGE_WAITING": str(WAITING), "DANDELION_PAGE_CLIENTS": str(OPEN)}
    with appliance(tmp_path, "--bundle", bundle, module=("ui",), **limits) as running:
        yield running


def refused(server: Appliance, reason: str = "page") -> float:
    return metric(server, "dandelion_rejections_total", reason=reason)


def test_pages_that_do_not_connect_are_refused_beyond_an_address_s_share(server: Appliance) -> None:
    answers = [load(server.url + "/", address=ALICE) for _ in range(3 * WAITING)]
    assert Counter(answer.status_code for answer in answers) == {200: WAITING // 2, 503: 3 * WAITING - WAITING // 2}
    last = answers[-1]
    assert 0 < int(last.headers["retry-after"]) <= 10
    assert len(last.content) < 600
    assert f'http-equiv="refresh" content="{last.headers["retry-after"]}"' in last.text
    assert "set-cookie" not in last.headers
    assert refused(server) == 3 * WAITING - WAITING // 2
    assert load(server.url + "/monitor", address=BOB).status_code == 200
    assert load(server.url + "/health", address=ALICE).status_code == 200


def test_a_thousand_loads_of_the_page_leave_the_memory_as_it_was(tmp_path: Path, bundle: str) -> None:
    with appliance(tmp_path, "--bundle", bundle, module=("ui",)) as server, httpx.Client(timeout=60) as client:
        load(server.url + "/", address=ALICE)
        before = server.resident_mb()
        statuses = Counter(client.get(server.url + path).status_code for path in ("/", "/live") * 500)
        assert set(statuses) == {200, 503}
        assert server.resident_mb() < before + 20  # each that is kept takes 0.26 MB


def test_where_many_addresses_fill_the_waiting_room_each_new_page_closes_an_old_one(server: Appliance) -> None:
    first = load(server.url + "/", address=ALICE)
    for address in (ALICE, BOB, CAROL):
        for _ in range(3):
            assert load(server.url + "/", address=address).status_code == 200
    mine = load(server.url + "/", address=DAVE)
    with connected(mine, address=DAVE):
        pass
    assert refused(server) > 0
    with pytest.raises(AssertionError, match="Implicit handshake failed"), connected(first, address=ALICE):
        pass  # upon which the browser loads the page again


def test_pages_that_are_connected_stay_and_make_room_for_others_to_wait(server: Appliance) -> None:
    with ExitStack() as stack:
        for _ in range(OPEN // 2):
            page = load(server.url + "/", address=ALICE)
            stack.enter_context(connected(page, address=ALICE))
        assert load(server.url + "/", address=ALICE).status_code == 503
        assert load(server.url + "/", address=BOB).status_code == 200
        assert stack.enter_context(connected(load(server.url + "/", address=BOB), address=BOB))


def test_a_path_that_the_page_does_not_have_draws_none(tmp_path: Path, bundle: str) -> None:
    with app(tmp_path, "--bundle", bundle, "--api", "http://127.0.0.1:9") as page_alone:
        for path in ("/nowhere", "/_nicegui/nowhere", "/ui/nowhere", "/ui/static/nowhere"):
            answer = load(page_alone.url + path)
            assert (answer.status_code, "x-nicegui-content" in answer.headers) == (404, False), path
            assert len(answer.content) < 200


def test_channels_without_a_page_are_few(server: Appliance) -> None:
    polls = [load(server.url + CHANNEL + "?EIO=4&transport=polling", address=ALICE) for _ in range(3 * WAITING)]
    assert Counter(answer.status_code for answer in polls) == {200: WAITING // 2, 503: 3 * WAITING - WAITING // 2}
    most = (OPEN + WAITING) // 2
    with ExitStack() as stack:
        page = load(server.url + "/", address=BOB)
        for _ in range(most):
            stack.enter_context(bare_socket(page, BOB))
        with pytest.raises(InvalidStatus):
            bare_socket(page, BOB)
        with connected(load(server.url + "/", address=CAROL), address=CAROL):
            pass


def bare_socket(page: httpx.Response, address: str) -> ClientConnection:
    url = str(page.url.copy_with(scheme="ws", path=CHANNEL, query=b"EIO=4&transport=websocket"))
    return connect(url, source_address=(address, 0), proxy=None)


def test_another_method_is_refused_before_anything_is_kept(server: Appliance) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = ask(method, server.url + "/")
        assert answer.status_code == 405
        assert "set-cookie" not in answer.headers


def test_the_head_of_a_page_is_told_without_drawing_it(server: Appliance) -> None:
    for _ in range(200):  # more than may be open
        answer = ask("HEAD", server.url + "/")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "set-cookie" not in answer.headers
    load(server.url + "/", address=ALICE)
    assert ask("HEAD", server.url + "/ui/static/style.css").status_code == 200


def test_a_key_outlives_any_number_of_visitors_who_choose_nothing(server: Appliance) -> None:
    page = load(server.url + "/", address=ALICE)
    cookies = page.headers["set-cookie"].partition(";")[0]
    with connected(page, address=ALICE) as channel:
        choose(channel, page, key="meadow-key")
    for method in ("POST", "GET"):
        for _ in range(2001 if method == "POST" else 20):
            ask(method, server.url + "/", address=BOB)
    again = load(server.url + "/", address=ALICE, headers={"cookie": cookies})
    assert has_key(again)
    assert "set-cookie" not in again.headers
    assert not has_key(load(server.url + "/", address=ALICE))


def test_a_name_that_somebody_made_up_is_not_adopted(server: Appliance) -> None:
    for name in ("made-up", "made-up.0123456789abcdef0123456789abcdef", "é"):
        page = load(server.url + "/", headers={"cookie": f"dandelion_session={name}".encode()})
        assert name.partition(".")[0] not in page.headers["set-cookie"]
