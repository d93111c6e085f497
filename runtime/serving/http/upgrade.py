"""HTTP upgrade: an offer that is not taken is ignored (RFC 9110, 7.8), and the request is answered as any other.

The parser skips the body of a request that offers an upgrade, whether it is taken or not.
"""

from __future__ import annotations

from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]


def offers_websocket(method: bytes, version: str, headers: Headers) -> bool:
    """Whether a request asks for a websocket as RFC 6455, 4.1 has it."""
    given = dict(headers)
    tokens = _tokens(given.get(b"connection", b""))
    asks = b"upgrade" in tokens and given.get(b"upgrade", b"").strip().lower() == b"websocket"
    return method == b"GET" and version == "1.1" and asks and b"sec-websocket-key" in given


def head_without_offer(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The head of the same request, without the offer to upgrade."""
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    for name, value in headers:
        if name in (b"upgrade", b"http2-settings"):
            continue
        kept = value
        if name == b"connection":
            kept = b", ".join(token for token in _tokens(value) if token not in (b"upgrade", b"http2-settings"))
        if kept:
            lines.append(b"%s: %s" % (name, kept))
    return b"\r\n".join([*lines, b"", b""])


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]
