"""Who may administer without a key: a person whose browser runs on this machine, and nobody else.

Any site that a browser shows can send requests to this machine, and any reverse proxy on it makes strangers look local.
So the evidence must come together: the peer is loopback and a process of the same user, the browser asked for
localhost, its `Origin` is that very address, and no proxy has left a trace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from runtime.api.security.origins import host_of, is_same_origin
from runtime.host.peer import is_loopback, users_of
from runtime.serving.settings import Settings

# Set by the server alone: no header of a request gets into a scope under such a name.
VERDICT = "dandelion.local_operator"  # of the page's server, which has seen the browser's own request
FORWARDED = "dandelion.forwarded"  # a header of a proxy was removed from the request

_PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-real-ip"})
_PROXY_PREFIX = b"x-forwarded"

Scope = Mapping[str, Any]


def is_local_operator(scope: Scope, settings: Settings) -> bool:
    """Whether a request, or the handshake of a websocket, comes from the operator's own browser on this machine.

    `Sec-Fetch-Site` alone would not do: a proxy that rewrites `Host` passes a stranger's `same-origin` on.
    """
    if VERDICT in scope:
        return bool(scope[VERDICT])
    if settings.trusted_proxies or settings.path_prefix:  # strangers are expected
        return False
    return not _is_proxied(scope) and _asked_for_localhost(scope) and _is_local_process(scope)


def _is_proxied(scope: Scope) -> bool:
    if scope.get(FORWARDED) or scope.get("http_version") == "1.0":  # which no browser speaks, but nginx to its upstream
        return True
    return any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX) for name, _ in scope["headers"])


def _asked_for_localhost(scope: Scope) -> bool:
    hosts, origins, sites = (_values(scope, name) for name in (b"host", b"origin", b"sec-fetch-site"))
    if len(hosts) != 1 or len(origins) != 1 or not set(sites) <= {"same-origin"}:
        return False
    host = host_of(hosts[0])
    return host is not None and (host == "localhost" or is_loopback(host)) and is_same_origin(origins[0], hosts[0])


def _is_local_process(scope: Scope) -> bool:
    peer, server = scope.get("client"), scope.get("server")
    if not peer or not server or not is_loopback(peer[0]):
        return False
    users = users_of(peer[1], server[1])
    if users is None or sys.platform == "win32":  # the system does not say
        return True
    return users == {os.geteuid()}


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for given, value in scope["headers"] if given == name]
