"""The appliance as the page sees it: one client, over the network or inside this process alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec

from runtime.api.app import App

CONNECT_S = 3.0
ANSWER_S = 60.0


class Away(Exception):
    """The appliance does not answer."""


class Refused(Exception):
    """The appliance answers, and says no; `detail` is its own sentence."""

    def __init__(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """`retry_after_s` is when it may be asked again, where it says so."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class Api:
    """An appliance's HTTP interface. Every call raises Away or Refused; keys go with the call and are kept nowhere."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Ask through `client`, whose base URL is the appliance."""
        self._client = client

    @classmethod
    def at(cls, url: str) -> Api:
        """The appliance at `url`."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        return cls(httpx.AsyncClient(base_url=url, limits=limits, timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S)))

    @classmethod
    def inside(cls, app: App) -> Api:
        """The appliance in this process, asked the same way but without a socket."""
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return cls(httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=ANSWER_S))

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

    async def load(self, version: str, key: str) -> dict[str, Any]:
        """`POST /models/{version}/load`."""
        return await self._json("POST", f"/models/{version}/load", key=key)

    async def pin(self, version: str | None, key: str) -> dict[str, Any]:
        """`POST /models/pin`; None follows the store again."""
        return await self._json("POST", "/models/pin", key=key, content=msgspec.json.encode({"version": version}))

    async def roll_back(self, key: str) -> dict[str, Any]:
        """`POST /models/rollback`."""
        return await self._json("POST", "/models/rollback", key=key)

    async def predict(self, photo: bytes, key: str) -> dict[str, Any]:
        """`POST /predict` with one encoded photo."""
        return await self._json("POST", "/predict", key=key, content=photo, kind="application/octet-stream")

    async def relay(
        self, method: str, path: str, *, query: str, headers: Mapping[str, str], body: AsyncIterator[bytes]
    ) -> httpx.Response:
        """Pass a request of the page on, and its answer back whatever it says. Raises Away."""
        url = httpx.URL(path, query=query.encode()) if query else httpx.URL(path)
        try:
            return await self._client.request(
                method, url, headers=dict(headers), content=body if method == "POST" else None
            )
        except httpx.TransportError as error:
            raise Away(str(error) or type(error).__name__) from error

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self._ask(method, path, **options)
        try:
            fields = answer.json()
        except ValueError as error:
            raise Away(f"what answers at {self._client.base_url} is no appliance") from error
        if not isinstance(fields, dict):
            raise Away(f"what answers at {self._client.base_url} is no appliance")
        return fields

    async def _ask(
        self, method: str, path: str, *, key: str = "", content: bytes | None = None, kind: str = "application/json"
    ) -> httpx.Response:
        headers = {"x-api-key": key} if key else {}
        if content is not None:
            headers["content-type"] = kind
        try:
            answer = await self._client.request(method, path, headers=headers, content=content)
        except httpx.TransportError as error:
            raise Away(str(error) or type(error).__name__) from error
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
