"""ASGI dispatcher: two apps behind one port, the browser app at its own paths and the API at all others."""

from __future__ import annotations

from contextlib import AsyncExitStack

from fastapi import FastAPI

from runtime.api.app import App
from runtime.api.middleware.path_prefix import PathPrefix
from runtime.asgi import Message, Receive, Send
from runtime.host.memory import return_free_memory
from runtime.serving.http.early_answer import close_if_early
from runtime.serving.settings import Settings
from ui.appliance.targets import Targets
from ui.server.navigation import is_shared, page_asked_for, redirect, varying
from ui.server.paths import ASSETS, PAGES


class Dispatcher:
    """Passes each request to the shell or to the API, and starts and stops both."""

    def __init__(self, shell: FastAPI, api: App | None, targets: Targets, settings: Settings) -> None:
        """Without `api` the shell takes everything."""
        self._shell = shell
        self._api = api
        self._targets = targets
        self._entry = PathPrefix(self._dispatch, settings)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._entry(scope, receive, send)

    async def _dispatch(self, scope: Message, receive: Receive, send: Send) -> None:
        page = page_asked_for(scope)
        if page is not None:
            await redirect(scope, send, page)
            return
        if is_shared(scope["path"]):
            send = varying(send)
        if self._api is None or belongs_to_page(scope["path"]):
            await self._shell(scope, receive, close_if_early(scope, receive, send))
        else:
            await self._api(scope, receive, send)  # type: ignore[arg-type]  # Litestar spells ASGI in types of its own

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with AsyncExitStack() as stack:
                if self._api:
                    await stack.enter_async_context(self._api.lifespan())
                await stack.enter_async_context(self._shell.router.lifespan_context(self._shell))
                stack.push_async_callback(self._targets.close)
                return_free_memory()  # what the imports and the first drawing of the routes left behind
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BaseException as error:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def belongs_to_page(path: str) -> bool:
    """Whether a path is one of the page's own: the API keeps all others."""
    return path in PAGES or path.startswith(ASSETS)
