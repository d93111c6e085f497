"""The FastAPI shell that NiceGUI lives in: assets, the relay, the pages."""

from __future__ import annotations

import copy
from pathlib import Path

from fastapi import FastAPI, Request, Response
from nicegui import ui
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ui.frame import build
from ui.language import COOKIE as LANGUAGE_COOKIE
from ui.language import Texts, preferred
from ui.paths import PAGES, STATIC
from ui.relay import create_relay
from ui.sessions import Sessions
from ui.targets import Targets
from ui.visit import Visit
from ui.visitors import Visitors

FOLDER = Path(__file__).parent / "static"
HEAD = f"""
<meta name="theme-color" content="#fbfaf2" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#12180f" media="(prefers-color-scheme: dark)">
<link rel="preload" href="{STATIC}/fonts/figtree.woff2" as="font" type="font/woff2" crossorigin>
<link rel="preload" href="{STATIC}/fonts/fraunces.woff2" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="{STATIC}/style.css">
<script src="{STATIC}/theme.js"></script>
"""


class _Assets(StaticFiles):
    """Asked for again with each page, answered with 304: a new version of the page is never mixed with an old one."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def create_shell(targets: Targets, mlflow: str | None) -> FastAPI:
    """The page for `targets`, with links to the runs at `mlflow`. NiceGUI allows one for each process."""
    sessions = Sessions(targets.default)
    shell = FastAPI(openapi_url=None)
    shell.add_middleware(Visitors, sessions=sessions)
    shell.mount(STATIC, _Assets(directory=FOLDER))
    shell.include_router(create_relay(targets, sessions))

    def page(request: Request) -> None:
        language = preferred(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
        client = ui.context.client
        client.page = copy.copy(client.page)  # one for each visitor: it holds the language
        client.page.language = "fr" if language == "fr" else "en-US"
        client.page.title = Texts(language)("app.name")
        build(Visit(targets, sessions, request.state.visitor, language, mlflow))

    for path in PAGES:
        ui.page(path)(page)
    ui.add_head_html(HEAD, shared=True)
    ui.run_with(
        shell,
        title="Dandelion",
        favicon=FOLDER / "favicon.svg",
        dark=None,
        binding_refresh_interval=None,
        reconnect_timeout=5.0,
        tailwind=False,
        show_welcome_message=False,
    )
    return shell
