"""Middleware: session cookies, the visitor's address, security headers (CSP, Referrer-Policy, Permissions-Policy)."""

from __future__ import annotations

from http import HTTPStatus
from http.cookies import SimpleCookie

from runtime.api.requests.client import client_of
from runtime.asgi import Application, Message, Receive, Send
from runtime.serving.client_address import TrustedProxies
from ui.server.paths import PAGES
from ui.server.sessions import COOKIE, Sessions, Visitor

# NiceGUI renders with Vue in the browser, which needs both `unsafe` words; nothing may come from or go elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


class SessionMiddleware:
    """ASGI middleware. `request.state.visitor` is the Visitor; one who opens a page for the first time is named."""

    def __init__(self, app: Application, sessions: Sessions, proxies: TrustedProxies) -> None:
        """Wrap `app`; `proxies` are those whose word on the visitor's address counts."""
        self._app = app
        self._sessions = sessions
        self._proxies = proxies

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = cookie(scope, COOKIE)
        fresh = scope["method"] == "GET" and scope["path"] in PAGES and not self._sessions.issued(name)
        if fresh:
            name = self._sessions.new_name()
        address = client_of(scope, self._proxies) or ""  # type: ignore[arg-type]  # Litestar's spelling of ASGI
        scope.setdefault("state", {})["visitor"] = Visitor(name, address)

        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *HEADERS]
                if fresh and message["status"] == HTTPStatus.OK:
                    headers.append((b"set-cookie", _set_cookie(name, secure=scope["scheme"] == "https")))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, add_headers)


def cookie(scope: Message, name: str) -> str:
    """One cookie of a request; empty if it has none of that name."""
    for header, value in scope["headers"]:
        if header == b"cookie":
            found = SimpleCookie(value.decode("latin-1")).get(name)
            if found:
                return found.value
    return ""


def _set_cookie(value: str, *, secure: bool) -> bytes:
    attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
    return f"{COOKIE}={value}{attributes}".encode()
