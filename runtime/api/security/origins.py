"""Origins and host names: the same-origin rule for browsers' requests, and the host check against DNS rebinding."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from runtime.errors import Refusal
from runtime.names import entries

SHOWN = 80  # characters of a header's value in a refusal
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)(?::(?P<port>[0-9]{1,5}))?")


class BadOrigins(Refusal):
    """A list of origins or host names that cannot be parsed; the message names the setting and the entry."""


class Origin(NamedTuple):
    """Scheme, host and port, normalised: lower case, no brackets, no trailing dot, the default port filled in."""

    scheme: str
    host: str
    port: int


class BrowserRequest(NamedTuple):
    """What a request says of where it came from; a header that is missing is None.

    `host` is the `Host` header; `forwarded_host` the last `X-Forwarded-Host`; `proxied` whether a trusted proxy sent
    it, without which `forwarded_host` does not count.
    """

    origin: str | None
    fetch_site: str | None
    host: str | None
    forwarded_host: str | None
    proxied: bool

    @property
    def heeded_host(self) -> str | None:
        """The host that the browser asked, as far as known."""
        return self.forwarded_host if self.proxied and self.forwarded_host else self.host


class OriginRules:
    """Judges requests of browsers: the same origin or a named one, to a host name that is ours."""

    def __init__(self, cors: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        """`cors` are the origins of others that may use this appliance, `hosts` its names beside the host's own."""
        self._cors = frozenset(cors)
        # The full name would have to be asked of a name server: nobody is asked who is not configured.
        self._hosts = {"localhost", *hosts, *_names(socket.gethostname())}

    def names(self, origin: str | None) -> bool:
        """Whether an `Origin` header is one of those in DANDELION_CORS."""
        if not self._cors or not origin:
            return False
        read = _origin(origin)
        return read is not None and _text(read) in self._cors

    def refusal(self, request: BrowserRequest) -> str | None:
        """Why a request is refused, in a sentence; None if it is not."""
        return self.refusal_of_host(request) or self._refusal_of_origin(request)

    def refusal_of_host(self, request: BrowserRequest) -> str | None:
        """Why its host is refused, in a sentence; None if it is not."""
        host = request.heeded_host
        if host and self._is_ours(host):
            return None
        said = f"`{_name_of(request)}: {host[:SHOWN]}` is no name of this appliance" if host else "`Host` is missing"
        return (
            f"{said}; ask it by its IP address or its host's name, or name it in DANDELION_HOSTS{_proxy_hint(request)}"
        )

    def _refusal_of_origin(self, request: BrowserRequest) -> str | None:
        origin, site = request.origin, request.fetch_site
        if self.names(origin):
            return None
        if origin == "null":
            return "`Origin: null` is refused; open the page itself, not a copy of it in a file or a sandboxed frame"
        if site not in {None, "none"}:  # the browser has compared the origins itself, whatever a proxy made of `Host`
            return None if site == "same-origin" else _foreign(f"Sec-Fetch-Site: {site}")
        if origin is None:
            return "`Origin` is missing; send it, or send no `Sec-Fetch-Site` where no browser asks"
        if is_same_origin(origin, request.heeded_host):
            return None
        return f"{_foreign(f'Origin: {origin}')}; it is not that of `{_name_of(request)}`{_proxy_hint(request)}"

    def _is_ours(self, host: str) -> bool:
        found = _AUTHORITY.fullmatch(host.lower())
        if found is None:
            return False
        name = found["host"]
        return name.startswith("[") or _is_address(name) or name.removesuffix(".") in self._hosts


def read_origins(text: str | None) -> frozenset[str]:
    """The origins in a comma-separated list such as `https://app.example,http://kiosk:8080`; raises BadOrigins."""
    found = set()
    for entry in entries(text):
        origin = _origin(entry)
        if origin is None:
            raise BadOrigins(f"DANDELION_CORS: {entry!r} is no origin such as https://app.example or http://kiosk:8080")
        found.add(_text(origin))
    return frozenset(found)


def read_hosts(text: str | None) -> frozenset[str]:
    """The host names in a comma-separated list such as `meadow.example,meadow.lan`; raises BadOrigins."""
    found = set()
    for entry in entries(text):
        name = entry.lower().removesuffix(".")
        if not _NAME.fullmatch(name):
            raise BadOrigins(f"DANDELION_HOSTS: {entry!r} is no host name such as meadow.example (no scheme, no port)")
        found.add(name)
    return frozenset(found)


def _origin(text: str) -> Origin | None:
    scheme, _, authority = text.lower().partition("://")
    found = _AUTHORITY.fullmatch(authority)
    if scheme not in _DEFAULT_PORTS or found is None:
        return None
    return Origin(scheme, _plain(found["host"]), int(found["port"] or _DEFAULT_PORTS[scheme]))


def host_of(authority: str) -> str | None:
    """The host of a `Host` header, normalised as in `Origin`; None if it is none."""
    found = _AUTHORITY.fullmatch(authority.lower())
    return _plain(found["host"]) if found else None


def is_same_origin(origin: str, host: str | None) -> bool:
    """Whether `Origin` names this host and port; the scheme is known to neither side of a proxy that ends TLS."""
    read, found = _origin(origin), _AUTHORITY.fullmatch((host or "").lower())
    if read is None or found is None:
        return False
    return (read.host, read.port) == (_plain(found["host"]), int(found["port"] or _DEFAULT_PORTS[read.scheme]))


def _text(origin: Origin) -> str:
    return f"{origin.scheme}://{origin.host}:{origin.port}"


def _plain(host: str) -> str:
    """A host without brackets and trailing dot, an IPv6 address in its shortest form."""
    name = host.strip("[]").removesuffix(".")
    try:
        return ip_address(name).compressed
    except ValueError:
        return name


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _names(host: str) -> set[str]:
    """The names of a host: whole, without its domain, and in multicast DNS."""
    whole = host.lower().removesuffix(".")
    short = whole.partition(".")[0]
    return {whole, short, f"{short}.local"} - {"", ".local"}


def _name_of(request: BrowserRequest) -> str:
    return "X-Forwarded-Host" if request.proxied and request.forwarded_host else "Host"


def _foreign(header: str) -> str:
    return f"`{header[:SHOWN]}` is another site's; if it may use this appliance, name its origin in DANDELION_CORS"


def _proxy_hint(request: BrowserRequest) -> str:
    """What to mend if the request came through a reverse proxy that changes `Host`."""
    if request.proxied:
        return "" if request.forwarded_host else "; the proxy sends no `X-Forwarded-Host`"
    if request.forwarded_host:
        return "; `X-Forwarded-Host` counts only if DANDELION_TRUSTED_PROXIES names the proxy"
    return "; a proxy must pass `Host` on, or send `X-Forwarded-Host` and be named in DANDELION_TRUSTED_PROXIES"
