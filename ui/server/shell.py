"""The FastAPI app around NiceGUI: static assets, reverse proxy, pages."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from nicegui import Client, core, ui
from nicegui import __version__ as nicegui_version
from nicegui import app as pages
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from runtime.api.middleware.head import HeadAsGet
from runtime.api.middleware.path_prefix import prefix_of
from runtime.api.security.browser_guard import BrowserGuard
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from ui.appliance.targets import Targets
from ui.server.page_clients import PageClients, PageLimits
from ui.server.page_limiter import PageLimiter
from ui.server.page_sockets import PageSockets
from ui.server.paths import KNOWN, PAGES, SOCKET, STATIC
from ui.server.proxy import create_relay
from ui.server.reach import Reach
from ui.server.session_middleware import SessionMiddleware
from ui.server.sessions import Sessions
from ui.view.language import COOKIE as LANGUAGE_COOKIE
from ui.view.language import Texts, preferred
from ui.view.layout import build
from ui.view.page_context import PageContext

FOLDER = Path(__file__).parents[1] / "static"
_HEAD = f"""
<meta name="theme-color" content="#fbfaf2" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#12180f" media="(prefers-color-scheme: dark)">
<link rel="preload" href="PREFIX{STATIC}/fonts/figtree.woff2" as="font" type="font/woff2" crossorigin>
<link rel="preload" href="PREFIX{STATIC}/fonts/fraunces.woff2" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="PREFIX{STATIC}/tokens.css">
<link rel="stylesheet" href="PREFIX{STATIC}/style.css">
<link rel="stylesheet" href="PREFIX{STATIC}/unknown.css">
<link rel="stylesheet" href="PREFIX{STATIC}/teach.css">
<link rel="stylesheet" href="PREFIX{STATIC}/narrow.css">
<script src="PREFIX{STATIC}/theme.js"></script>
<script src="PREFIX{STATIC}/connection.js"></script>
<meta name="page-build" content="BUILD">
"""


class _Assets(StaticFiles):
    """Revalidated with each page (304): a new release of the page is never mixed with cached files of an old one."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


async def _not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"status_code": 404, "detail": getattr(error, "detail", "Not Found")}, 404)


def _build() -> str:
    """What a page that is open must have in common with the server to go on with it: the same scripts."""
    digest = hashlib.sha256(nicegui_version.encode())
    for file in sorted(FOLDER.parent.rglob("*.js")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _name(client: Client, context: PageContext) -> None:
    """Give a browser's tab the title and the icon of the product."""
    client.page.title = context.product.title(context.text)
    if context.product.is_meadow:
        client.page.favicon = (FOLDER / "meadow.svg").read_text()


def create_shell(
    targets: Targets, mlflow: str | None, settings: Settings, metrics: Metrics, limits: PageLimits, reach: Reach
) -> FastAPI:
    """The page for `targets`, with links to the runs at `mlflow`. NiceGUI allows one for each process."""
    sessions = Sessions(targets.default, metrics)
    clients = PageClients(limits, metrics)
    shell = FastAPI(openapi_url=None)
    sockets = PageSockets(limits, lambda: len(core.sio.eio.sockets))
    proxies = settings.trusted_proxies
    shell.add_middleware(HeadAsGet)
    shell.add_middleware(PageLimiter, clients=clients, sockets=sockets, proxies=proxies, metrics=metrics)
    shell.add_middleware(BrowserGuard, settings=settings, metrics=metrics, channel=SOCKET)
    shell.add_middleware(SessionMiddleware, sessions=sessions, proxies=proxies)  # the outermost
    pages.add_exception_handler(404, _not_found)  # NiceGUI's own draws a page
    shell.mount(STATIC, _Assets(directory=FOLDER))
    shell.include_router(create_relay(targets, sessions, settings))
    head = _HEAD.replace("BUILD", _build())

    @shell.get(f"{KNOWN}/{{client_id}}", include_in_schema=False)
    async def known(client_id: str) -> dict[str, bool]:
        """Whether a page is kept, so that its browser may connect it again; see `ui/static/connection.js`."""
        return {"known": client_id in Client.instances}

    async def page(request: Request) -> None:
        language = preferred(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
        client = ui.context.client
        client.page = copy.copy(client.page)  # one for each visitor: it holds the language
        client.page.language = "fr" if language == "fr" else "en-US"
        clients.add(client, request.state.visitor.address)
        prefix = prefix_of(request.scope)
        context = PageContext(
            targets,
            sessions,
            request.state.visitor,
            language,
            mlflow=mlflow,
            prefix=prefix,
            phone=reach.from_page(request.headers.get("host", ""), request.url.scheme, prefix),
            settings=settings,
            client=client,
        )
        await context.describe()
        _name(client, context)
        with client:
            ui.add_head_html(head.replace("PREFIX", prefix))
            build(context)

    for path in PAGES:
        ui.page(path)(page)
    ui.run_with(
        shell,
        title=Texts("en")("app.name"),
        favicon=FOLDER / "lens.svg",
        dark=None,
        binding_refresh_interval=None,
        reconnect_timeout=5.0,
        tailwind=False,
        show_welcome_message=False,
    )
    return shell
