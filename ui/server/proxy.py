"""Reverse proxy from the browser to the appliance: adds the visitor's API key and address, keeps nothing.

The middleware around it (`runtime/api/security/browser_guard.py`) has checked the origin.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from runtime.api.routes.display import PICTURE_HEADERS
from runtime.bundle.display import PICTURES
from runtime.bundle.picture import MAX_PICTURE_BYTES
from ui.appliance.client import Unreachable
from ui.appliance.targets import Targets
from ui.server.paths import RELAY
from ui.server.sessions import Sessions

ALLOWED_PATHS = re.compile(r"predict|predict/batch|explain|feedback|models/[A-Za-z0-9][A-Za-z0-9._-]*/predict")
REQUEST_HEADERS = ("accept", "content-type", "content-length", "x-traffic")
RESPONSE_HEADERS = ("content-type", "retry-after", "x-label", "x-explained")
PICTURE = "/model/picture"
PICTURE_TYPES = tuple(PICTURES.values())


def create_relay(targets: Targets, sessions: Sessions) -> APIRouter:
    """The routes under RELAY."""
    router = APIRouter(prefix=RELAY)

    @router.post("/{path:path}", include_in_schema=False)
    async def relay(path: str, request: Request) -> Response:
        if not ALLOWED_PATHS.fullmatch(path):
            return _refuse(HTTPStatus.NOT_FOUND, "the page does not use this path")
        visitor = request.state.visitor
        session = sessions.of(visitor.name)
        headers = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
        try:
            api = (await targets.api(session.target)).for_visitor(visitor.address, session.key)
            answer = await api.relay("POST", f"/{path}", query=request.url.query, headers=headers, body=_body(request))
        except Unreachable as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))
        given = {name: answer.headers[name] for name in RESPONSE_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, given)

    @router.get(PICTURE, include_in_schema=False)
    async def picture(request: Request) -> Response:
        visitor = request.state.visitor
        session = sessions.of(visitor.name)
        try:
            api = (await targets.api(session.target)).for_visitor(visitor.address, session.key)
            answer = await api.relay("GET", PICTURE, query="", headers={}, body=_body(request))
        except Unreachable as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))
        return _picture(answer)

    return router


def _picture(answer: httpx.Response) -> Response:
    """What an appliance gives for a picture, and nothing else: it would be of the page's own origin."""
    media_type = answer.headers.get("content-type", "")
    if not answer.is_success or media_type not in PICTURE_TYPES or len(answer.content) > MAX_PICTURE_BYTES:
        return _refuse(HTTPStatus.NOT_FOUND, "the appliance has no picture of its product")
    return Response(answer.content, headers=PICTURE_HEADERS, media_type=media_type)


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        return  # the appliance sees a short body and refuses it; nobody reads the answer


def _refuse(status: HTTPStatus, detail: str) -> JSONResponse:
    return JSONResponse({"status_code": int(status), "detail": detail}, int(status))
