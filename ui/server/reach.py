"""Where a phone in the same network finds the page: nowhere, if it is served on loopback."""

from __future__ import annotations

import ipaddress
import socket

from runtime.host.peer import is_loopback

NOWHERE = "none"
_ELSEWHERE = ("192.0.2.1", 9)  # an address for documentation (RFC 5737): a UDP socket that is connected sends nothing


def lan_address() -> str | None:
    """This host's IPv4 address in its network; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if is_loopback(address) else address


def is_only_here(host: str) -> bool:
    """Whether a name or address is one that only this host reaches."""
    return is_loopback(host) or host == "localhost" or host.endswith(".localhost")


class Reach:
    """Where others find the page of a server that listens on the address `listening`."""

    def __init__(self, listening: str, public: str | None = None) -> None:
        """`public` is the address that the operator names; NOWHERE names none."""
        self._listening = listening
        self._public = public

    def at(self, port: int) -> str | None:
        """The page's address for a phone, if the server listens on `port`; None if no phone reaches it."""
        if self._public:
            return None if self._public == NOWHERE else self._public
        if is_only_here(self._listening):
            return None
        host = lan_address() if _is_everywhere(self._listening) else self._listening
        return host and f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def from_page(self, host: str, scheme: str, prefix: str) -> str | None:
        """The address for a phone of a page that was opened at `host` (the header), below `prefix`.

        Who came by a name or address that others reach, too, came by the right one already.
        """
        name, colon, port = host.rpartition(":")
        if not (colon and port.isdecimal()):
            name, port = host, "80"
        if self._public or is_only_here(name.strip("[]")):
            url = self.at(int(port))
            return url if self._public or not url else url + prefix
        return f"{scheme}://{host}{prefix}" if name else None


def _is_everywhere(listening: str) -> bool:
    try:
        return ipaddress.ip_address(listening).is_unspecified
    except ValueError:
        return False
