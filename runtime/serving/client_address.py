"""Client address: who sent a request, as far as trusted reverse proxies vouch for it (X-Forwarded-For)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from runtime.errors import Refusal
from runtime.names import entries

Network = IPv4Network | IPv6Network


class BadProxies(Refusal):
    """A list of trusted proxies that cannot be parsed; the message names the setting and the entry."""


class TrustedProxies:
    """The reverse proxies whose `X-Forwarded-…` headers count; those of anybody else are ignored."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        """`networks` are the addresses of the proxies, as networks."""
        self._networks = tuple(networks)
        self.include = lru_cache(maxsize=1024)(self._include)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def _include(self, host: str) -> bool:
        """Whether the address `host` is that of a trusted proxy."""
        try:
            address = ip_address(host)
        except ValueError:  # a socket file has no address
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def client_of(self, peer: str, forwarded_for: Iterable[str]) -> str | None:
        """The client behind the connection of `peer`: the last address that a trusted proxy vouches for.

        `forwarded_for` are the values of the `X-Forwarded-For` headers, in their order. None if all addresses are those
        of trusted proxies, which are not clients themselves.
        """
        if not self._networks or not self.include(peer):
            return client_network(peer)
        addresses = [part.strip() for value in forwarded_for for part in value.split(",")]
        for address in reversed(addresses):
            if not self.include(address):
                return client_network(address)
        return None


def read_proxies(text: str | None) -> tuple[Network, ...]:
    """The networks in a comma-separated list of IP addresses and networks in CIDR notation; raises BadProxies."""
    networks = []
    for entry in entries(text):
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError as error:
            raise BadProxies(
                f"DANDELION_TRUSTED_PROXIES: {entry!r} is no IP address and no network such as 10.0.0.0/8"
            ) from error
    return tuple(networks)


@lru_cache(maxsize=4096)
def client_network(host: str) -> str:
    """The client at an address: of IPv6 its /64 network, because one host has all of that to choose from."""
    try:
        address = ip_address(host)
    except ValueError:  # a socket file has no address
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
