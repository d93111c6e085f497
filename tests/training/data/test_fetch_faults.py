"""Fetching from servers that misbehave: named, tried again where it may pass, and nothing half is kept."""

from __future__ import annotations

import http.server
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import training.data.download
from tests.support.photos import photo
from tests.support.web.photo_sources import Quiet, misbehaving, names, serving, write_list
from training.data.download import FetchError, Timeouts
from training.data.fetch import fetch

QUICK = Timeouts(connect_s=5, read_s=1, photo_s=3)

pytestmark = pytest.mark.usefixtures("no_long_pauses")


def stall(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    time.sleep(30)


def drip(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(150):
        handler.wfile.write(b"x")
        time.sleep(0.1)


def cut_short(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"only this")


def web_page(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.end_headers()
    handler.wfile.write(b"<h1>Sign in</h1>")


def drip_headers(handler: Quiet) -> None:
    handler.send_response(200)
    handler.flush_headers()
    for number in range(150):
        handler.wfile.write(b"X-%d: y\r\n" % number)
        time.sleep(0.1)


def web_page_called_a_photo(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/jpeg")
    handler.end_headers()
    handler.wfile.write(b"\n<!DOCTYPE html><h1>Sign in</h1>")


def send_in_circles(handler: Quiet) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def mislabel_encoding(handler: Quiet) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(b"this is not gzip")


def send_too_much(handler: Quiet) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(bytes(2**20 + 1))


def fail(handler: Quiet) -> None:
    handler.send_error(503)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (stall, "timed out.*, 4 times; check the address and the network"),
        (drip, "did not arrive within 3 s; the server is too slow"),
        (drip_headers, "did not arrive within 3 s; the server is too slow"),
        (cut_short, ", 4 times; check the address and the network"),
        (web_page, "is a web page, not a photo"),
        (web_page_called_a_photo, "is a web page, not a photo"),
        (send_in_circles, "Exceeded maximum allowed redirects"),
        (mislabel_encoding, "while decompressing"),
        (send_too_much, "is larger than 1 MiB; that is no photo"),
        (fail, "the server answered 503, 4 times"),
    ],
)
def test_a_server_that_misbehaves_is_named_and_nothing_half_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Callable[[Quiet], None], message: str
) -> None:
    monkeypatch.setattr(training.data.download, "LARGEST_BYTES", 2**20)
    recorded = write_list(tmp_path / "list.json", photos)
    with serving(photos, misbehaving(action)) as url, pytest.raises(FetchError, match=rf"grass/0000.jpg: .*{message}"):
        fetch(tmp_path / "raw", source=url, recorded=recorded, timeouts=QUICK)
    assert not list((tmp_path / "raw" / "grass").glob("*0000*"))
    assert len(names(tmp_path / "raw")) == 5


def test_a_passing_fault_is_tried_again(photos: Path, tmp_path: Path) -> None:
    answers = iter([503, 503])

    def twice(handler: Quiet) -> None:
        status = next(answers, None)
        if status is None:
            http.server.SimpleHTTPRequestHandler.do_GET(handler)
        else:
            handler.send_error(status)

    recorded = write_list(tmp_path / "list.json", photos)
    with serving(photos, misbehaving(twice)) as url:
        assert fetch(tmp_path / "raw", source=url, recorded=recorded).photos["grass"] == 3


def test_a_listing_that_drips_is_given_up(photos: Path, tmp_path: Path) -> None:
    class Dripping(Quiet):
        def do_GET(self) -> None:  # noqa: N802  # the library's name
            drip(self)

    with serving(photos, Dripping) as url, pytest.raises(FetchError, match=r"photos.json: did not arrive within 3 s"):
        fetch(tmp_path / "raw", source=url, timeouts=QUICK)


def test_an_altered_photo_is_not_taken_as_it_is_after_a_run_that_failed(photos: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    recorded = tmp_path / "list.json"
    recorded.write_text(json.dumps({"photos": [{"path": name} for name in names(photos)]}))
    with serving(photos) as url:
        fetch(raw, source=url, recorded=recorded)
    port = int(url.rpartition(":")[2])
    (raw / "grass" / "0000.jpg").write_bytes(b"altered")
    with serving(photos, misbehaving(fail), port) as url, pytest.raises(FetchError, match="1 of 6 photos"):
        fetch(raw, source=url, recorded=recorded)
    with serving(photos, port=port) as url:
        assert fetch(raw, source=url, recorded=recorded).resumed == 5
    assert (raw / "grass" / "0000.jpg").read_bytes() == photo("grass", 0)
