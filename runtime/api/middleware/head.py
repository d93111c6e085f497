"""HEAD wherever GET is (RFC 9110, 9.3.2): the routes see a GET, the client the head of its answer."""

from __future__ import annotations

from runtime.asgi import Application, Message, Receive, Send


class HeadAsGet:
    """ASGI middleware, the innermost: metrics and guards outside it still see a HEAD."""

    def __init__(self, app: Application) -> None:
        """Wrap `app`, which need not know HEAD."""
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            scope["method"] = "HEAD"  # again: the server sends no body then
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        scope["method"] = "GET"
        await self._app(scope, receive, send_head)
