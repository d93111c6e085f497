"""Visits to the page without a browser: a page is loaded, and its channel connected as NiceGUI's script does."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.cookiejar import CookieJar

import httpx
from websockets.sync.client import ClientConnection, connect

CHANNEL = "/_nicegui_ws/socket.io/"


def load(url: str, *, address: str = "127.0.0.1", **options: object) -> httpx.Response:
    """`GET` from a loopback address of choice."""
    return ask("GET", url, address=address, **options)


def ask(method: str, url: str, *, address: str = "127.0.0.1", **options: object) -> httpx.Response:
    return _from(address).request(method, url, **options)  # type: ignore[arg-type]


@cache
def _from(address: str) -> httpx.Client:
    """A client at `address`, which keeps no cookies."""
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(transport=transport, timeout=60, cookies=NoCookies())


class NoCookies(CookieJar):
    def extract_cookies(self, *_: object) -> None:
        """Take none."""


def client_id(page: httpx.Response) -> str:
    found = re.search(r"['\"]client_id['\"]:\s*['\"]([^'\"]+)", page.text)
    assert found, page.text[:300]
    return found[1]


@contextmanager
def connected(page: httpx.Response, *, address: str = "127.0.0.1", **headers: str) -> Iterator[ClientConnection]:
    """The channel of a page that was loaded."""
    query = httpx.QueryParams(
        {
            "EIO": "4",
            "transport": "websocket",
            "client_id": client_id(page),
            "next_message_id": "0",
            "implicit_handshake": "true",
            "tab_id": str(uuid.uuid4()),
            "document_id": str(uuid.uuid4()),
        }
    )
    url = str(page.url.copy_with(scheme="ws", path=CHANNEL, query=str(query).encode()))
    with connect(url, additional_headers=headers, source_address=(address, 0), proxy=None) as channel:
        channel.recv()
        channel.send("40")  # socket.io: join
        answer = str(channel.recv())
        assert answer.startswith("40"), answer
        yield channel


def choose(channel: ClientConnection, page: httpx.Response, *, key: str, target: str = "local") -> None:
    """Send the form of the connection dialog, as its script does, and wait for the page to be redrawn."""
    found = re.search(r'"(\d+)":{"tag":"form".*?"listener_id":"([^"]+)"', page.text)
    assert found, "the page has no dialog"
    fields = json.dumps({"target": target, "key": key, "forget": False})
    event = {"id": int(found[1]), "client_id": client_id(page), "listener_id": found[2], "args": [fields]}
    channel.send("42" + json.dumps(["event", event]))
    while "dandelion-appliance" not in (message := str(channel.recv())):
        if message == "2":
            channel.send("3")


def has_key(page: httpx.Response) -> bool:
    """Whether the dialog offers to forget the key of this visitor."""
    return '"name":"forget"' in page.text
