"""A bundle's title, headline and picture: optional, bounded, and unable to script a page."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import httpx
import msgspec
import pytest
from PIL import Image

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, Bundle, BundleError, read_manifest, to_json
from runtime.bundle.picture import MAX_ELEMENTS, MAX_PICTURE_BYTES, BadPicture, check_picture
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.pictures.displays import SVG, with_picture


def png(side: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (side, side), "teal").save(stream, "PNG")
    return stream.getvalue()


def svg(inside: str, head: str = "", root: str = "") -> bytes:
    return f'{head}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" {root}>{inside}</svg>'.encode()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (SVG, "picture.svg"),
        (svg("", head='<?xml version="1.0" encoding="UTF-8"?>'), "picture.svg"),
        (svg('<g style="fill:url(#a)"><style>.a { fill: url("#b") }</style></g>'), "picture.svg"),
        (svg('<rect xmlns:x="http://www.w3.org/1999/xlink" x:href="#a" fill="url( \'#a\')"/>'), "picture.svg"),
        (png(), "picture.png"),
    ],
)
def test_a_small_plain_picture_is_taken(data: bytes, name: str):
    check_picture(data, name)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (svg("<script>alert(1)</script>"), "has a <script>"),
        (svg('<x:script xmlns:x="http://www.w3.org/2000/svg"/>'), "has a <script>"),
        (svg("<SCRIPT/>"), "has a <SCRIPT>"),
        (svg("<foreignObject/>"), "has a <foreignObject>"),
        (svg('<animate attributeName="href"/>'), "has a <animate>"),
        (svg('<use href="#a"/>'), "has a <use>"),
        (svg("<a/>"), "has a <a>"),
        (svg("", root='onload="alert(1)"'), "has a script \\(`onload`\\)"),
        (svg('<g ONCLICK="1"/>'), "has a script"),
        (svg('<g href="https://elsewhere.example"/>'), "links out of itself"),
        (svg('<g xmlns:x="http://www.w3.org/1999/xlink" x:href="data:text/html,x"/>'), "links out of itself"),
        (svg("<style>@import 'https://elsewhere.example/a.css';</style>"), "loads something"),
        (svg("<g style=\"fill: url('https://elsewhere.example')\"/>"), "loads something"),
        (svg('<g fill="u\\72l(https://elsewhere.example)"/>'), "loads something or is escaped"),
        (svg("", head='<?xml-stylesheet href="a.css"?>'), "processing instruction"),
        (svg("&a;", head='<!DOCTYPE svg [<!ENTITY a "aaaa">]>'), "document type"),
        (svg("<g/>" * (MAX_ELEMENTS + 1)), "elements"),
        (svg("<g>" * 60 + "</g>" * 60), "elements"),
        (svg("<g>"), "no well-formed SVG"),
        (svg("").decode().encode("utf-16"), "is no UTF-8"),
        (b"<html/>", "is no SVG"),
        (b"", "no well-formed SVG"),
        (b" " * (MAX_PICTURE_BYTES + 1), "is larger than 128 KiB"),
    ],
)
def test_an_svg_that_could_do_more_than_be_looked_at_is_refused(data: bytes, reason: str):
    with pytest.raises(BadPicture, match=reason):
        check_picture(data, "picture.svg")


def huge() -> bytes:
    """A head that promises 100 000 x 100 000 px."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return png().replace(png()[12:33], head + struct.pack(">I", zlib.crc32(head)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a", "is no PNG"),
        (png()[:-5], "is a broken PNG"),
        (png() + b"more", "is a broken PNG"),
        (png().replace(b"IDAT", b"IDAX"), "is a broken PNG"),
        (png()[:8], "is a broken PNG"),
        (huge(), "is larger than 1024 x 1024 px"),
    ],
)
def test_a_png_that_is_broken_or_large_is_refused(data: bytes, reason: str):
    with pytest.raises(BadPicture, match=reason):
        check_picture(data, "picture.png")


def test_a_bundle_without_the_block_is_read_and_written_as_ever():
    manifest = read_manifest(default_bundle() / MANIFEST)
    assert manifest.display is None
    assert b"display" not in to_json(manifest)  # which earlier releases would refuse
    assert Bundle.open(default_bundle()).picture() is None


@pytest.mark.parametrize(
    ("display", "reason"),
    [
        ({"title": "x" * 41}, "display.title"),
        ({"title": " "}, "display.title"),
        ({"headline": "a\u202eb"}, "display.headline"),
        ({"headline": 7}, "display.headline"),
        ({"picture": "../secret.svg"}, "display.picture"),
        ({"picture": "picture.svg"}, "does not list picture.svg"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_block_that_is_wrong_is_refused_by_its_name(display: dict[str, object], reason: str, tmp_path: Path):
    write_bundle(tmp_path / "v1", display=display)
    with pytest.raises(BundleError, match=reason):
        Bundle.open(tmp_path / "v1")


def test_a_bundle_whose_picture_could_do_harm_is_not_opened(tmp_path: Path):
    with_picture(write_bundle(tmp_path / "v1"), svg("<script/>"))
    with pytest.raises(BundleError, match=r"picture\.svg: has a <script>"):
        Bundle.open(tmp_path / "v1")


def test_the_picture_is_served_so_that_nothing_in_it_runs(tmp_path: Path):
    bundle = with_picture(write_bundle(tmp_path / "v1"), SVG, title="Birds", headline="Which bird is this?")
    with appliance(tmp_path, "--bundle", str(bundle)) as server:
        answer = httpx.get(server.url + "/model/picture")
        described = httpx.get(server.url + "/model").json()["manifest"]
    assert answer.content == SVG
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert described["display"] == {
        "title": "Birds", "headline": "Which bird is this?", "picture": "picture.svg"
    }  # fmt: skip
    assert msgspec.json.decode((bundle / MANIFEST).read_bytes())["display"] == described["display"]


def test_a_model_without_a_picture_answers_404_with_the_remedy(tmp_path: Path):
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1"))) as server:
        answer = httpx.get(server.url + "/model/picture")
    assert answer.status_code == 404
    assert "--picture" in answer.json()["detail"]
