"""HTTP client of the appliance's API, with a connection pool; in-process calls use ASGI without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec

from runtime.api.app import App
from runtime.api.security.local_operator import VERDICT

CONNECT_S = 3.0
ANSWER_S = 60.0
FORWARDED_FOR = "x-forwarded-for"
MEASUREMENT = {"x-traffic": "measurement"}


class Unreachable(Exception):
    """The appliance does not answer."""


class Refused(Exception):
    """The appliance answers with an error status; `detail` is its own sentence."""

    def __init__(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """`retry_after_s` is when it may be asked again, where it says so."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class _InProcess(httpx.AsyncBaseTransport):
    """Calls an ASGI app as if the client of `X-Forwarded-For` were connected to it.

    Whether that is the operator at this machine, the caller alone has seen, and tells in an extension of the request:
    what this transport makes up (`Host: localhost`) is no evidence.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        client = (request.headers.pop(FORWARDED_FOR, ""), 0)
        local = bool(request.extensions.get(VERDICT))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope | {VERDICT: local}, receive, send)

        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)
        return await transport.handle_async_request(request)


class Api:
    """An appliance's HTTP interface. Calls raise Unreachable or Refused; keys go with them and are kept nowhere."""

    def __init__(
        self, client: httpx.AsyncClient, headers: Mapping[str, str] | None = None, *, local_operator: bool = False
    ) -> None:
        """Ask through `client`, whose base URL is the appliance, each time with `headers`."""
        self._client = client
        self._headers = dict(headers or {})
        self._extensions = {VERDICT: local_operator}  # of no meaning over a socket

    @classmethod
    def at(cls, url: str) -> Api:
        """The appliance at `url`."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        return cls(httpx.AsyncClient(base_url=url, limits=limits, timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S)))

    @classmethod
    def inside(cls, app: App) -> Api:
        """The appliance in this process, asked the same way but without a socket."""
        return cls(httpx.AsyncClient(transport=_InProcess(app), base_url="http://localhost", timeout=ANSWER_S))

    def for_visitor(self, address: str, key: str, *, local_operator: bool = False) -> Api:
        """The same appliance, asked with the key of a visitor and on behalf of their address; either may be empty.

        `local_operator` says that the visitor's browser runs on this machine (`security/local_operator.py`).

        A remote appliance heeds the address if it names the page's host in DANDELION_TRUSTED_PROXIES.
        """
        headers = {FORWARDED_FOR: address.partition("/")[0], "x-api-key": key}  # of a network its first address
        given = {name: value for name, value in headers.items() if value}
        return Api(self._client, given, local_operator=local_operator)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def health(self) -> dict[str, Any]:
        """`GET /health`."""
        return await self._json("GET", "/health")

    async def model(self) -> dict[str, Any]:
        """`GET /model`."""
        return await self._json("GET", "/model")

    async def metrics(self) -> str:
        """`GET /metrics`, in Prometheus' text format."""
        return (await self._ask("GET", "/metrics")).text

    async def models(self) -> dict[str, Any]:
        """`GET /models`."""
        return await self._json("GET", "/models")

    async def examples(self) -> dict[str, list[str]]:
        """`GET /model/examples`: thumbnails as data URIs, by label."""
        found = (await self._json("GET", "/model/examples")).get("examples")
        return found if isinstance(found, dict) else {}

    async def load(self, version: str) -> dict[str, Any]:
        """`POST /models/{version}/load`."""
        return await self._json("POST", f"/models/{version}/load")

    async def pin(self, version: str | None) -> dict[str, Any]:
        """`POST /models/pin`; None follows the store again."""
        return await self._json("POST", "/models/pin", content=msgspec.json.encode({"version": version}))

    async def roll_back(self) -> dict[str, Any]:
        """`POST /models/rollback`."""
        return await self._json("POST", "/models/rollback")

    async def predict(self, photo: bytes) -> dict[str, Any]:
        """`POST /predict` with one encoded photo, which is drawn: it says nothing of what is photographed here."""
        api = Api(self._client, self._headers | MEASUREMENT)
        return await api._json("POST", "/predict", content=photo, kind="application/octet-stream")

    async def relay(
        self, method: str, path: str, *, query: str, headers: Mapping[str, str], body: AsyncIterator[bytes]
    ) -> httpx.Response:
        """Pass a request of the page on, and its answer back whatever it says. Raises Unreachable."""
        url = httpx.URL(path, query=query.encode()) if query else httpx.URL(path)
        try:
            return await self._client.request(
                method,
                url,
                headers=self._headers | dict(headers),
                content=None if method == "GET" else body,
                extensions=self._extensions,
            )
        except httpx.TransportError as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self._ask(method, path, **options)
        try:
            fields = answer.json()
        except ValueError as error:
            raise Unreachable(f"what answers at {self._client.base_url} is no appliance") from error
        if not isinstance(fields, dict):
            raise Unreachable(f"what answers at {self._client.base_url} is no appliance")
        return fields

    async def _ask(
        self, method: str, path: str, *, content: bytes | None = None, kind: str = "application/json"
    ) -> httpx.Response:
        headers = self._headers if content is None else self._headers | {"content-type": kind}
        try:
            answer = await self._client.request(
                method, path, headers=headers, content=content, extensions=self._extensions
            )
        except httpx.TransportError as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        if answer.is_success:
            return answer
        raise Refused(answer.status_code, _detail(answer), _seconds(answer.headers.get("retry-after")))


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"it answered {answer.status_code}"


def _seconds(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
