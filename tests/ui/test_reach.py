"""The address at which a phone finds the page."""

from __future__ import annotations

import pytest

from ui.server import reach
from ui.server.process import where
from ui.server.reach import NOWHERE, Reach, lan_address
from ui.view.phone import qr_code

LAN = "192.168.1.20"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - where it listens by default


@pytest.fixture(autouse=True)
def lan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "lan_address", lambda: LAN)


@pytest.mark.parametrize(
    ("listening", "public", "url"),
    [
        (EVERYWHERE, None, f"http://{LAN}:8000"),
        ("::", None, f"http://{LAN}:8000"),
        ("10.0.0.7", None, "http://10.0.0.7:8000"),
        ("127.0.0.1", None, None),
        ("::1", None, None),
        ("localhost", None, None),
        (EVERYWHERE, NOWHERE, None),
        ("127.0.0.1", "https://meadow.example", "https://meadow.example"),
    ],
)
def test_a_phone_is_sent_to_where_the_server_listens(listening: str, public: str | None, url: str | None):
    assert Reach(listening, public).at(8000) == url


@pytest.mark.parametrize(
    ("host", "scheme", "prefix", "url"),
    [
        ("localhost:8000", "http", "", f"http://{LAN}:8000"),
        ("127.0.0.1:8001", "http", "/meadow", f"http://{LAN}:8001/meadow"),
        ("[::1]:8000", "http", "", f"http://{LAN}:8000"),
        ("192.168.1.9:8000", "http", "", "http://192.168.1.9:8000"),
        ("meadow.example", "https", "/d", "https://meadow.example/d"),
        ("localhost", "http", "", f"http://{LAN}:80"),
        ("", "http", "", None),
    ],
)
def test_who_came_by_an_address_that_others_reach_is_shown_that_one(
    host: str, scheme: str, prefix: str, url: str | None
):
    assert Reach(EVERYWHERE).from_page(host, scheme, prefix) == url


def test_the_last_line_of_the_start_names_both_addresses():
    assert where(Reach(EVERYWHERE), 8000) == f"Open http://localhost:8000 · on your phone http://{LAN}:8000"
    assert where(Reach("127.0.0.1"), 8000) == "Open http://localhost:8000"


def test_the_address_in_the_network_is_none_that_only_this_host_reaches():
    found = lan_address()
    assert found is None or not reach.is_only_here(found)


def test_the_code_is_a_drawing_of_the_address():
    pytest.importorskip("segno", reason="install the extra `ui`")
    code = qr_code(f"http://{LAN}:8000")
    assert code.startswith("<svg")
    assert "<script" not in code
    assert code != qr_code(f"http://{LAN}:8001")
