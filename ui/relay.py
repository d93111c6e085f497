"""From the browser to the appliance: each request is passed on with the visitor's key, and nothing of it is kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from ui.api import Away
from ui.paths import RELAY
from ui.sessions import Sessions
from ui.targets import Targets

ASKED = re.compile(r"predict|predict/batch|explain|feedback|models/[A-Za-z0-9][A-Za-z0-9._-]*/predict")
TAKEN = ("accept", "content-type", "content-length")
GIVEN = ("content-type", "retry-after", "x-label", "x-explained")


def create_relay(targets: Targets, sessions: Sessions) -> APIRouter:
    """The routes under RELAY."""
    router = APIRouter(prefix=RELAY)

    @router.post("/{path:path}", include_in_schema=False)
    async def relay(path: str, request: Request) -> Response:
        if not ASKED.fullmatch(path):
            return _refuse(HTTPStatus.NOT_FOUND, "the page asks for nothing of that name")
        if not _from_page(request):
            return _refuse(HTTPStatus.FORBIDDEN, "only the page itself may ask here; use the API")
        session = sessions.of(request.state.visitor)
        headers = {name: request.headers[name] for name in TAKEN if name in request.headers}
        if session.key:
            headers["x-api-key"] = session.key
        try:
            api = await targets.api(session.target)
            answer = await api.relay("POST", f"/{path}", query=request.url.query, headers=headers, body=_body(request))
        except Away as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))
        given = {name: answer.headers[name] for name in GIVEN if name in answer.headers}
        return Response(answer.content, answer.status_code, given)

    return router


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        return  # the appliance sees a short body and refuses it; nobody reads the answer


def _from_page(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _refuse(status: HTTPStatus, detail: str) -> JSONResponse:
    return JSONResponse({"status_code": int(status), "detail": detail}, int(status))
