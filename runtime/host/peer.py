"""Whose process is at the other end of a connection within this machine (Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LOCAL, _REMOTE, _USER = 1, 2, 7  # columns

Address = IPv4Address | IPv6Address


def is_loopback(host: str) -> bool:
    """Whether a host is an address of this machine alone; a name is none."""
    try:
        return plain_address(host).is_loopback
    except ValueError:
        return False


def plain_address(host: str) -> Address:
    """An IP address, of IPv4 where it is only written as IPv6. Raises ValueError."""
    address = ip_address(host)
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def users_of(port: int, server_port: int) -> set[int] | None:
    """The user ids of local processes that are connected from `port` to `server_port` over the loopback interface.

    None where the system does not say, as on macOS.
    """
    found, told = set(), False
    for table in TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        told = True
        found |= set(_users(lines, port, server_port))
    return found if told else None


def _users(lines: list[str], port: int, server_port: int) -> Iterator[int]:
    for line in lines:
        columns = line.split()
        ends = [_end(columns[column]) for column in (_LOCAL, _REMOTE)]
        if [end[1] for end in ends] == [port, server_port] and all(address.is_loopback for address, _ in ends):
            yield int(columns[_USER])


def _end(text: str) -> tuple[Address, int]:
    """`0100007F:1F90` is 127.0.0.1, 8000: words of four bytes in the order of this processor."""
    address, _, port = text.partition(":")
    words = bytes.fromhex(address)
    data = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return plain_address(str(ip_address(data))), int(port, 16)
