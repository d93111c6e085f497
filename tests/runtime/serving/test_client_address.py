from __future__ import annotations

import pytest

from runtime.serving.client_address import BadProxies, TrustedProxies, client_network, read_proxies

PROXIES = TrustedProxies(read_proxies("10.0.0.0/8, 192.0.2.1, 2001:db8:f::/48"))


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_or_a_network_of_which_it_may_have_all_addresses(host: str, client: str):
    assert client_network(host) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.4", ["203.0.113.9"], "198.51.100.4"),  # whoever is no proxy names nobody
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.1.1.1, 203.0.113.9", "192.0.2.1"], "203.0.113.9"),  # what a client claims comes first
        ("10.1.2.3", ["1.1.1.1, 203.0.113.9, 192.0.2.1"], "203.0.113.9"),
        ("2001:db8:f::1", ["2001:db8:a:b::5"], "2001:db8:a:b::/64"),
        ("10.1.2.3", ["unknown"], "unknown"),
        ("10.1.2.3", [], None),
        ("10.1.2.3", ["10.9.9.9"], None),
    ],
)
def test_the_client_is_the_last_one_that_a_trusted_proxy_vouches_for(peer: str, forwarded: list[str], client: str):
    assert PROXIES.client_of(peer, forwarded) == client


def test_without_trusted_proxies_the_peer_is_the_client():
    assert TrustedProxies().client_of("10.1.2.3", ["203.0.113.9"]) == "10.1.2.3"


def test_a_list_that_cannot_be_read_is_refused_by_name():
    with pytest.raises(BadProxies, match=r"DANDELION_TRUSTED_PROXIES: 'nginx' is no IP address"):
        read_proxies("10.0.0.1,nginx")
