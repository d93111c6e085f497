"""HTTP download with deadline, size limit and retries."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx

from runtime.errors import Refusal

LARGEST_BYTES = 50 * 2**20
ATTEMPTS = 4
FIRST_PAUSE_S = 0.5  # doubles with every further attempt
_WEB_PAGE = (b"<!doctype html", b"<html")


class FetchError(Refusal):
    """Photos that cannot be fetched; the message names what and says what to do."""

    retryable = True


class RefusedByServer(FetchError):
    """The server answered with a status that another attempt would not change."""

    def __init__(self, url: str, status: int) -> None:
        """Refusal of `url` with the HTTP status `status`."""
        super().__init__(f"{url}: the server answered {status}; check the address")
        self.status = status


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for one file altogether."""

    connect_s: float = 10.0
    read_s: float = 20.0
    photo_s: float = 120.0


PATIENT = Timeouts()


@dataclass(frozen=True)
class Page:
    """A web page or a list, and the address that it came from in the end."""

    content: bytes
    url: str


class _TransientError(Exception):
    """Worth another attempt."""


class Downloads:
    """Downloads over one client; for use by several threads at once, as a context."""

    def __init__(self, timeouts: Timeouts) -> None:
        """Open the client."""
        self._timeouts = timeouts
        # A connection for each request, so that a deadline can cut it without harm to another.
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=True,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close the client."""
        self._client.close()

    def photo(self, url: str, target: Path) -> None:
        """Write the photo at `url` to the file `target`; raises FetchError, also for a web page in its place."""
        with target.open("w+b") as file:
            answer = self._read(url, file)
            file.seek(0)
            head = file.read(512).lstrip().lower()
        # Some servers call their login page a JPEG.
        if answer.headers.get("content-type", "").startswith("text/html") or head.startswith(_WEB_PAGE):
            raise FetchError(f"{url}: is a web page, not a photo; a login or error page stands in its place")

    def page(self, url: str) -> Page:
        """Read a listing or a list; raises FetchError."""
        stream = io.BytesIO()
        answer = self._read(url, stream)
        return Page(stream.getvalue(), str(answer.url))

    def _read(self, url: str, sink: BinaryIO) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            sink.seek(0)
            sink.truncate()
            try:
                return self._read_once(url, sink)
            except (_TransientError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
                if attempt == ATTEMPTS:
                    raise FetchError(f"{url}: {reason}, {ATTEMPTS} times; check the address and the network") from error
            except httpx.RequestError as error:  # endless redirects, an encoding that is none
                raise FetchError(f"{url}: {error}; check the address") from error
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _read_once(self, url: str, sink: BinaryIO) -> httpx.Response:
        with _deadline(url, self._timeouts.photo_s) as trace:
            with self._client.stream("GET", url, extensions={"trace": trace}) as answer:
                if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    raise _TransientError(f"the server answered {answer.status_code}")
                if answer.is_error:
                    raise RefusedByServer(url, answer.status_code)
                size = 0
                for piece in answer.iter_bytes():
                    size += sink.write(piece)
                    if size > LARGEST_BYTES:
                        raise FetchError(f"{url}: is larger than {LARGEST_BYTES // 2**20} MiB; that is no photo")
            return answer


def check_address(url: str) -> str:
    """The URL itself; raises FetchError where it is none of a web server."""
    try:
        parsed = httpx.URL(url)
        urlsplit(url)  # which joins it to names later, and is stricter about brackets
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(f"{url}: is not a web address ({error}); it looks like https://host/folder") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise FetchError(f"{url}: is not a web address; it looks like https://host/folder")
    return url


class _Connection:
    """The socket of one request, as httpx's documented `trace` extension tells it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.cut_off = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.cut_off:
                self.cut()

    def cut(self) -> None:
        self.cut_off = True
        if self._socket is not None:
            # Past any SSL layer, which is not made to be closed while another thread reads; an error means that the
            # connection has ended by itself.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@contextmanager
def _deadline(url: str, seconds: float) -> Iterator[Any]:
    """Cut the connection when the time is up: httpx's timeouts begin anew with each byte that arrives."""
    connection = _Connection()
    timer = threading.Timer(seconds, connection.cut)
    timer.daemon = True
    timer.start()
    too_slow = f"{url}: did not arrive within {seconds:g} s; the server is too slow, try again later"
    try:
        yield connection.trace
    except httpx.RequestError as error:
        if connection.cut_off:
            raise FetchError(too_slow) from error
        raise
    finally:
        timer.cancel()
    if connection.cut_off:  # an answer of unknown length ends where it was cut
        raise FetchError(too_slow)
