"""A stand-in for an S3 server, on loopback, that can be told to misbehave and to be well again."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from runtime.registry.catalogue import POINTER
from runtime.registry.publish import publish
from runtime.store import S3Settings, Store, open_store

DRIP_S = 0.2
BUCKET = "models"
ESCAPES = "Nothing\u2028to see\n\ntime=2026-11-28T00:00:00 level=INFO message=all is well\n\u202e"
DATE = "Sat, 28 Nov 2026 12:00:00 GMT"


class FakeS3:
    """What is in a folder, as S3 would show it; `misbehave` answers the requests whose path it is set for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.misbehave: Callable[[Answer], None] | None = None
        self.only = ""  # part of the paths that are misanswered
        self.asked = 0
        self.served = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"store": self}))
        self.served.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.served.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        return {"MINIO_ENDPOINT": self.endpoint, "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}

    def open(self) -> Store:
        return open_store(f"s3://{BUCKET}", S3Settings(self.endpoint, "a", "b"))

    def publish(self, bundle: Path) -> None:
        there = open_store(str(self.folder))
        publish(bundle, there, tag=there.tag(POINTER))

    @contextmanager
    def misbehaving(self, how: str, only: str = "") -> Iterator[None]:
        before = self.only, self.misbehave
        self.only, self.misbehave = only, WAYS[how]
        try:
            yield
        finally:
            self.only, self.misbehave = before


class Answer(BaseHTTPRequestHandler):
    """One answer; `store` is set by a subclass."""

    protocol_version = "HTTP/1.1"
    store: FakeS3

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.store.asked += 1
        with suppress(ConnectionError):
            if self.store.misbehave and self.store.only in self.path:
                self.close_connection = True
                self.store.misbehave(self)
            else:
                self.answer_well()

    def do_HEAD(self) -> None:
        self.do_GET()

    @property
    def content(self) -> bytes | None:
        parts = urlsplit(self.path)
        if "list-type" in parse_qs(parts.query):
            return self._listing(parse_qs(parts.query).get("prefix", [""])[0])
        file = self.store.folder / unquote(parts.path).removeprefix(f"/{BUCKET}/")
        return file.read_bytes() if file.is_file() else None

    def _listing(self, prefix: str) -> bytes:
        entries = open_store(str(self.store.folder)).list(prefix)
        rows = (
            f"<Contents><Key>{entry.key}</Key><Size>{entry.size_bytes}</Size>"
            "<LastModified>2026-11-28T12:00:00.000Z</LastModified></Contents>"
            for entry in entries
        )
        return f"<ListBucketResult><Name>{BUCKET}</Name>{''.join(rows)}</ListBucketResult>".encode()

    def answer_well(self) -> None:
        if self.content is None:
            self.say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.say(200, self.content)

    def say(self, status: int, body: bytes, *, etag: bool = True, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if etag:
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')
            self.send_header("Last-Modified", DATE)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drip(self, data: bytes) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(DRIP_S)


def _drip_body(answer: Answer) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", "3000")
    answer.send_header("ETag", '"x"')
    answer.end_headers()
    answer.drip(b" " * 3000)


def _drip_head(answer: Answer) -> None:
    answer.drip(b"HTTP/1.1 200 OK\r\nETag: " + b"x" * 3000)


def _redirect(answer: Answer) -> None:
    answer.say(307, b"", Location=f"http://127.0.0.1:9{answer.path}")


def _truncate(answer: Answer) -> None:
    content = answer.content or b"x"
    answer.say(200, content[:-20], length=len(content))


def _list_for_ever(answer: Answer) -> None:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{answer.store.asked}</NextContinuationToken>"
    answer.say(200, (answer.content or b"").replace(b"<Contents>", more.encode() + b"<Contents>", 1))


def _refuse(answer: Answer) -> None:
    text = f"<Error><Code>{ESCAPES}{'x' * 5000}</Code><Message>{ESCAPES}</Message></Error>"
    answer.say(403, text.encode())


WAYS: dict[str, Callable[[Answer], None]] = {
    "drips its bodies": _drip_body,
    "drips its heads": _drip_head,
    "cuts its bodies short": _truncate,
    "fails": lambda answer: answer.say(500, b"<Error><Code>InternalError</Code></Error>"),
    "redirects": _redirect,
    "redirects for ever": lambda answer: answer.say(301, b"", Location=answer.path),
    "refuses in many lines": _refuse,
    "answers with a page": lambda answer: answer.say(200, f"<html>\n{ESCAPES}\n{'<br>' * 5000}".encode()),
    "fails with a page": lambda answer: answer.say(400, f"<html>\n{ESCAPES}\n{'<br>' * 5000}".encode()),
    "says no ETag": lambda answer: answer.say(200, answer.content or b"", etag=False),
    "is no HTTP server": lambda answer: answer.drip(b"\x00\n"),
    "hangs up": lambda answer: answer.connection.close(),
    "has dates that are none": lambda answer: answer.say(
        200, (answer.content or b"").replace(b"2026-11-28T12:00:00.000Z", b"yesterday\n\n")
    ),
    "has no end": _list_for_ever,
    "has sizes that are none": lambda answer: answer.say(200, (answer.content or b"").replace(b"<Size>", b"<Size>x")),
}


@contextmanager
def fake_s3(folder: Path) -> Iterator[FakeS3]:
    folder.mkdir(parents=True, exist_ok=True)
    fake = FakeS3(folder)
    thread = threading.Thread(target=fake.served.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.served.shutdown()
        fake.served.server_close()
        thread.join()
