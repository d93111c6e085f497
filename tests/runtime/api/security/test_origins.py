from __future__ import annotations

import socket

import pytest

from runtime.api.security.origins import BadOrigins, BrowserRequest, OriginRules, read_hosts, read_origins

NAMED = "https://app.example,http://Kiosk:8080, https://[2001:DB8::1]:443"
RULES = OriginRules(read_origins(NAMED), read_hosts("meadow.example, Meadow.LAN."))


def asked(
    origin: str | None = None,
    fetch_site: str | None = None,
    host: str | None = "localhost:8000",
    forwarded_host: str | None = None,
    *,
    proxied: bool = False,
) -> BrowserRequest:
    return BrowserRequest(origin, fetch_site, host, forwarded_host, proxied)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://LOCALHOST:8000", "LocalHost:8000"),
        ("http://meadow.example", "meadow.example"),
        ("http://meadow.example", "meadow.example:80"),
        ("https://meadow.example", "meadow.example"),  # TLS ends in a proxy
        ("https://meadow.example", "meadow.example:443"),
        ("https://meadow.example:8443", "meadow.example:8443"),
        ("http://meadow.lan", "meadow.lan."),
        ("http://192.0.2.7:8000", "192.0.2.7:8000"),
        ("http://[2001:db8::1]:8000", "[2001:DB8:0::1]:8000"),
        ("http://[::1]", "[::1]:80"),
    ],
)
def test_the_same_origin_is_let_in_however_it_is_spelt(origin: str, host: str) -> None:
    assert RULES.refusal(asked(origin, host=host)) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:8000"),
        ("http://localhost:9000", "localhost:8000"),  # another service of the same host
        ("http://localhost", "localhost:8000"),
        ("https://meadow.example:80", "meadow.example"),
        ("http://localhost:8000.evil.example", "localhost:8000"),
        ("http://[::1]", "127.0.0.1"),
        ("ftp://localhost:8000", "localhost:8000"),
        ("chrome-extension://abcdef", "localhost:8000"),
        ("localhost:8000", "localhost:8000"),
        ("", "localhost:8000"),
    ],
)
def test_any_other_origin_is_refused_by_name(origin: str, host: str) -> None:
    refusal = RULES.refusal(asked(origin, host=host)) or ""
    assert refusal.startswith(f"`Origin: {origin}` is another site's")
    assert "DANDELION_CORS" in refusal
    assert "DANDELION_TRUSTED_PROXIES" in refusal


@pytest.mark.parametrize(
    "origin", ["https://app.example", "https://APP.example:443", "http://kiosk:8080", "https://[2001:db8::1]"]
)
@pytest.mark.parametrize("fetch_site", [None, "cross-site", "same-site"])
def test_a_named_origin_is_let_in(origin: str, fetch_site: str | None) -> None:
    assert RULES.refusal(asked(origin, fetch_site)) is None


@pytest.mark.parametrize("origin", ["http://app.example", "https://app.example:8443", "https://sub.app.example"])
def test_scheme_port_and_host_of_a_named_origin_count(origin: str) -> None:
    assert RULES.refusal(asked(origin))


def test_the_null_origin_is_refused_always() -> None:
    for fetch_site in (None, "same-origin", "cross-site"):
        assert "`Origin: null` is refused" in (RULES.refusal(asked("null", fetch_site)) or "")
    with pytest.raises(BadOrigins):
        read_origins("null")


def test_what_the_browser_says_of_the_site_counts_more_than_a_host_that_a_proxy_wrote() -> None:
    assert RULES.refusal(asked("https://meadow.example", "same-origin", host="127.0.0.1:8000")) is None
    for site in ("cross-site", "same-site", "nonsense"):
        refusal = RULES.refusal(asked("http://localhost:8000", site)) or ""
        assert refusal.startswith(f"`Sec-Fetch-Site: {site}` is another site's")


def test_without_a_site_the_origin_counts_and_its_lack_is_told() -> None:
    assert RULES.refusal(asked("http://localhost:8000", "none")) is None
    assert (RULES.refusal(asked(None, "none")) or "").startswith("`Origin` is missing")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "[::1]:8000",
        "localhost",
        "meadow.example:8000",
        socket.gethostname(),
        f"{socket.gethostname().partition('.')[0]}.local:8000",
    ],
)
def test_a_host_is_an_address_or_a_name_of_ours(host: str) -> None:
    assert RULES.refusal(asked(f"http://{host}", host=host)) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "1.2.3.4.evil.example", "evil.example:80"])
def test_a_name_that_is_not_ours_is_refused_even_to_its_own_origin(host: str) -> None:
    for request in (asked(f"http://{host}", host=host), asked(None, "same-origin", host=host)):
        refusal = RULES.refusal(request) or ""
        assert refusal.startswith(f"`Host: {host}` is no name of this appliance")
        assert "DANDELION_HOSTS" in refusal


def test_a_host_that_is_missing_or_broken_is_refused() -> None:
    assert (RULES.refusal(asked("http://x", host=None)) or "").startswith("`Host` is missing")
    for host in ("a b", "x/y", "[zz]", "[::1]x", ""):
        assert RULES.refusal(asked(f"http://{host}", host=host)), host


def test_the_host_that_a_trusted_proxy_forwards_is_judged_in_place_of_its_own() -> None:
    outside = ("https://meadow.example", None, "dandelion", "meadow.example")
    assert RULES.refusal(asked(*outside, proxied=True)) is None
    refusal = RULES.refusal(asked(*outside)) or ""
    assert "`X-Forwarded-Host` counts only if DANDELION_TRUSTED_PROXIES names the proxy" in refusal
    rebound = RULES.refusal(asked("http://evil.example", None, "localhost", "evil.example", proxied=True)) or ""
    assert rebound.startswith("`X-Forwarded-Host: evil.example` is no name of this appliance")


def test_a_trusted_proxy_that_forwards_no_host_is_told_so() -> None:
    refusal = RULES.refusal(asked("https://meadow.example", host="127.0.0.1:8000", proxied=True)) or ""
    assert refusal.endswith("the proxy sends no `X-Forwarded-Host`")


@pytest.mark.parametrize("entry", ["*", "app.example", "https://", "https://app.example/path", "https://a:b", "ws://x"])
def test_an_origin_that_cannot_be_read_is_refused_by_name(entry: str) -> None:
    with pytest.raises(BadOrigins, match=r"DANDELION_CORS: .* is no origin"):
        read_origins(f"http://kiosk,{entry}")


@pytest.mark.parametrize("entry", ["*", "http://meadow", "meadow:8000", "-", "a b"])
def test_a_host_name_that_cannot_be_read_is_refused_by_name(entry: str) -> None:
    with pytest.raises(BadOrigins, match=r"DANDELION_HOSTS: .* is no host name"):
        read_hosts(f"kiosk,{entry}")


def test_empty_lists_name_nobody() -> None:
    assert read_origins(None) == read_origins(" , ") == read_hosts("") == frozenset()
