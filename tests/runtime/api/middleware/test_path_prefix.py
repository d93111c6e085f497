"""The path prefix of a reverse proxy, from the outermost middleware to the links that the answers hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.api.middleware.path_prefix import PathPrefix, prefix_of
from runtime.serving.client_address import TrustedProxies, read_proxies
from runtime.serving.settings import Settings
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

RAW = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("prefix")
    bundle = str(write_bundle(folder / "v1"))
    with appliance(folder, "--bundle", bundle, DANDELION_PATH_PREFIX="/meadow/") as running:
        yield running


def seen(
    told: bytes | None, *, trusted: bool, prefix: str = "", path: str = "/predict"
) -> tuple[str, str, list[bytes]]:
    """The prefix, path and headers that an app within is given."""
    scopes: list[Any] = []

    async def within(scope: Any, _: object, __: object) -> None:
        scopes.append(scope)

    networks = read_proxies("10.0.0.1") if trusted else ()
    settings = Settings(threads=1, workers=1, trusted_proxies=TrustedProxies(networks), path_prefix=prefix)
    headers = [(b"host", b"x"), *([(b"x-forwarded-prefix", told)] if told is not None else [])]
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": headers, "client": ("10.0.0.1", 9)}
    asyncio.run(PathPrefix(within, settings)(scope, None, None))  # type: ignore[arg-type]
    [inner] = scopes
    told_within = [value for name, value in inner["headers"] if name == b"x-forwarded-prefix"]
    return prefix_of(inner), inner["path"], told_within


@pytest.mark.parametrize(
    ("told", "prefix"),
    [
        (b"/meadow", "/meadow"),
        (b"/meadow/", "/meadow"),
        (b"/a/b-c/d.e_~", "/a/b-c/d.e_~"),
        (b"/of-another, /meadow", "/meadow"),
        (b"/", ""),
        (b"", ""),
        (b"meadow", ""),
        (b"//evil.example", ""),
        (b"/../up", ""),
        (b"/a/./b", ""),
        (b"https://evil.example", ""),
        (b"/<script>", ""),
        (b'/"x', ""),
        (b"/a%2fb", ""),
        (b"/\xff", ""),
        (b"/" + b"a" * 300, ""),
    ],
)
def test_a_trusted_proxy_says_the_prefix_if_it_is_a_plain_path(told: bytes, prefix: str) -> None:
    assert seen(told, trusted=True) == (prefix, "/predict", [prefix.encode()] if prefix else [])


def test_what_anybody_else_says_is_removed() -> None:
    assert seen(b"/meadow", trusted=False) == ("", "/predict", [])
    assert seen(b"/evil", trusted=False, prefix="/meadow") == ("/meadow", "/predict", [b"/meadow"])


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("/meadow/predict", "/predict"),
        ("/meadow", "/"),
        ("/meadow/", "/"),
        ("/predict", "/predict"),
        ("/meadows/predict", "/meadows/predict"),
    ],
)
def test_a_prefix_that_the_proxy_leaves_in_place_is_stripped(path: str, within: str) -> None:
    assert seen(b"/meadow", trusted=True, path=path)[1] == within
    assert seen(None, trusted=False, prefix="/meadow", path=path)[1] == within


def test_the_api_answers_and_links_below_the_prefix(server: Appliance) -> None:
    with httpx.Client(base_url=server.url + "/meadow") as client:
        assert client.post("/predict", content=photo(), headers=RAW).json()["label"] == "dandelion"
        assert client.get("/").headers["location"] == "/meadow/docs"
        assert client.get("/docs/openapi.json").json()["servers"] == [{"url": "/meadow"}]
        page = client.get("/docs").text
        links = re.findall(r'(?:src|href|url)(?:=|: )"(/[^"]+)"', page)
        assert len(links) == 3
        assert all(link.startswith("/meadow/docs/") for link in links)
        assert all(httpx.get(server.url + link).status_code == 200 for link in links)
        assert client.get("/v2/nothing").json() == {"error": "there is no '/v2/nothing'"}
    assert httpx.post(server.url + "/predict", content=photo(), headers=RAW).status_code == 200  # stripped by the proxy


def test_a_stranger_cannot_write_into_the_pages(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1"))) as running:
        for path in ("/docs", "/docs/openapi.json", "/"):
            answer = httpx.get(running.url + path, headers={"x-forwarded-prefix": "/evil"})
            assert "/evil" not in answer.text + str(answer.headers)
