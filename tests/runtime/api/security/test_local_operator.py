"""Without a key, the model is changed from a browser on this machine alone, and not by what only looks like one."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.api.security import local_operator
from runtime.api.security.keys import new_key
from runtime.api.security.local_operator import FORWARDED, VERDICT, is_local_operator
from runtime.host.peer import is_loopback, users_of
from runtime.serving.client_address import TrustedProxies, read_proxies
from runtime.serving.settings import Settings
from tests.support.appliances.operated import operated
from tests.support.appliances.servers import Appliance
from tests.support.suite.system_packages import needs
from tests.support.web.web_servers import plain_proxy

SETTINGS = Settings(threads=1, workers=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with operated(tmp_path_factory.mktemp("operated")) as running:
        yield running


def pin(url: str, version: str | None = "v1", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(url + "/models/pin", json={"version": version}, headers=named, timeout=60)


def test_a_browser_on_this_machine_needs_no_key(server: Appliance) -> None:
    for name in ("127.0.0.1", "localhost"):
        url = f"http://{name}:{server.port}"
        for headers in ({}, {"sec_fetch_site": "same-origin"}):
            answer = pin(f"http://127.0.0.1:{server.port}", host=f"{name}:{server.port}", origin=url, **headers)
            assert (answer.status_code, answer.json()["pinned"]) == (200, "v1")
    assert httpx.get(server.url + "/models", headers={"origin": server.url}).json()["admission"] == "allowed"
    assert pin(server.url, None, origin=server.url).json()["pinned"] is None


def test_a_program_is_told_how_to_make_a_key(server: Appliance) -> None:
    refused = pin(server.url)
    assert refused.status_code == 403
    assert "`python -m runtime key`" in refused.json()["detail"]
    assert httpx.get(server.url + "/models").json()["admission"] == "closed"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:1"},  # another program's page on this machine
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"forwarded": "for=192.0.2.1"},
        {"x_forwarded_for": "127.0.0.1"},
        {"x_forwarded_proto": "https"},
        {"x_forwarded_prefix": "/meadow"},
        {"x_forwarded": "for=127.0.0.1"},
        {"x_real_ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
    ],
)
def test_what_comes_from_elsewhere_is_refused(server: Appliance, headers: dict[str, str]) -> None:
    assert pin(server.url, **{"origin": server.url, **headers}).status_code == 403
    assert httpx.get(server.url + "/models").json()["pinned"] is None


@pytest.mark.parametrize("kind", [pytest.param(name, marks=needs(name)) for name in ("nginx", "caddy")])
def test_strangers_behind_a_proxy_on_this_machine_are_refused_whatever_they_send(
    server: Appliance, tmp_path: Path, kind: str
) -> None:
    with plain_proxy(kind, tmp_path, server.url) as outside:
        assert httpx.get(outside + "/models").json()["admission"] == "closed"
        for host in ("meadow.example", outside.removeprefix("http://"), f"127.0.0.1:{server.port}", "localhost"):
            origin = f"http://{host}"
            assert pin(outside, host=host, origin=origin, sec_fetch_site="same-origin").status_code == 403, host
            assert pin(outside, host=host, origin=server.url).status_code == 403, host
            assert pin(outside, host=host, sec_fetch_site="same-origin").status_code == 403, host
    assert httpx.get(server.url + "/models").json()["pinned"] is None


def test_where_keys_are_set_nobody_does_without(tmp_path: Path) -> None:
    key, entry = new_key()
    with operated(tmp_path, DANDELION_ADMIN_KEYS=entry) as server:
        assert pin(server.url, origin=server.url).status_code == 401
        assert pin(server.url, x_api_key=key).status_code == 200
        asked = [httpx.get(server.url + "/models", headers=headers).json()["admission"]
                 for headers in ({"origin": server.url}, {"x-api-key": key})]  # fmt: skip
    assert asked == ["key", "allowed"]


def scope(**changes: Any) -> dict[str, Any]:
    """A request of a browser on this machine, as the server sees it."""
    headers = [(b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000")]
    return {
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "http_version": "1.1",
        "headers": headers,
    } | changes


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every connection is that of a process of this user."""
    monkeypatch.setattr(local_operator, "users_of", lambda *_: {os.geteuid()})
    return monkeypatch


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"client": ("::1", 5)}, True),
        ({"client": ("::ffff:127.0.0.1", 5)}, True),
        ({"client": ("192.0.2.1", 5)}, False),
        ({"client": ("localhost", 5)}, False),
        ({"client": ("", 5)}, False),
        ({"client": None}, False),
        ({"server": None}, False),
        ({"http_version": "1.0"}, False),
        ({FORWARDED: True}, False),
        ({"headers": []}, False),
        ({"headers": [(b"host", b"localhost"), (b"host", b"evil"), (b"origin", b"http://localhost")]}, False),
        ({"headers": [(b"host", b"localhost.evil.example"), (b"origin", b"http://localhost.evil.example")]}, False),
        ({"headers": [(b"host", b"[::1]:8000"), (b"origin", b"http://[::1]:8000")]}, True),
        ({"headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1:8000")]}, False),
        ({"client": ("192.0.2.1", 5), VERDICT: True}, True),  # the page's server has looked itself
        ({VERDICT: False}, False),
    ],
)
def test_all_evidence_must_come_together(owned: pytest.MonkeyPatch, changes: dict[str, Any], expected: bool) -> None:
    assert is_local_operator(scope(**changes), SETTINGS) is expected


@pytest.mark.parametrize(("users", "expected"), [(None, True), (set(), False), ({65_533}, False)])
def test_a_process_of_another_user_is_a_stranger(
    owned: pytest.MonkeyPatch, users: set[int] | None, expected: bool
) -> None:
    owned.setattr(local_operator, "users_of", lambda *_: users)
    assert is_local_operator(scope(), SETTINGS) is expected


@pytest.mark.parametrize(
    "settings",
    [
        Settings(threads=1, workers=1, trusted_proxies=TrustedProxies(read_proxies("10.0.0.0/8"))),
        Settings(threads=1, workers=1, path_prefix="/meadow"),
    ],
)
def test_where_a_proxy_is_expected_everybody_is_a_stranger(owned: pytest.MonkeyPatch, settings: Settings) -> None:
    assert not is_local_operator(scope(), settings)


def test_the_user_at_the_other_end_is_found_in_the_tables_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            assert users_of(client.getsockname()[1], listener.getsockname()[1]) in ({os.geteuid()}, None)
        assert users_of(1, listener.getsockname()[1]) in (set(), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process of another user")
def test_a_connection_of_another_user_is_told_from_ones_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
        code += "print(s.getsockname()[1], flush=True); s.recv(1)"
        command = ["python3", "-c", code, str(port)]
        with subprocess.Popen(command, user=65_534, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert users_of(int(process.stdout.readline()), port) == {65_534}
            process.kill()


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert [is_loopback(host) for host in ("127.8.0.1", "::1", "::ffff:127.0.0.1")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "localhost", "")] == [False] * 4  # noqa: S104
