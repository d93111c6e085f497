"""Forms of one file as most clients write them: read at a glance, and as the parser reads them."""

from __future__ import annotations

import random

import pytest
from litestar.exceptions import HTTPException

from runtime.api.requests import upload
from runtime.api.requests.form import only_file
from runtime.api.requests.upload import photo_in_form

TYPE = "multipart/form-data; boundary=meadow-7"
HEAD = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n'
PHOTO = b"\xff\xd8\xff of a \r\n--meadow\r\n\r\n"


def one(head: bytes = HEAD, data: bytes = PHOTO, end: bytes = b"\r\n--meadow-7--\r\n") -> bytes:
    return b"--meadow-7\r\n" + head + b"\r\n" + data + end


def outcome(kind: str, body: bytes) -> object:
    try:
        return photo_in_form(kind, body)
    except HTTPException as error:
        return error.status_code, error.detail


def parsed(kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as usual:
        usual.setattr(upload, "only_file", lambda *_: None)
        return outcome(kind, body)


USUAL = {
    "requests, httpx": one(),
    "without a type": one(b'Content-Disposition: form-data; name="file"; filename="a b.c.jpg"\r\n'),
    "empty": one(data=b""),
    "ends with line ends": one(data=PHOTO + b"\r\n\r\n"),
}


@pytest.mark.parametrize("body", USUAL.values(), ids=USUAL)
def test_a_usual_form_is_read_without_the_parser(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read = only_file(TYPE, body, "file")
    assert read == parsed(TYPE, body, monkeypatch)
    assert isinstance(read, bytes)


OTHERS = {
    "another field": (TYPE, one(HEAD.replace(b'"file"', b'"files"'))),
    "no file name": (TYPE, one(b'Content-Disposition: form-data; name="file"\r\n')),
    "empty file name": (TYPE, one(HEAD.replace(b"a.jpg", b""))),
    "a quote in the name": (TYPE, one(HEAD.replace(b"a.jpg", b'a\\"b.jpg'))),
    "a folder in the name": (TYPE, one(HEAD.replace(b"a.jpg", b"C:\\a.jpg"))),
    "a character set": (TYPE, one(HEAD.replace(b"image/jpeg", b"text/plain; charset=odd"))),
    "small letters": (TYPE, one(HEAD.lower())),
    "the other way round": (TYPE, one(b"".join(HEAD.splitlines(keepends=True)[::-1]))),
    "one more header": (TYPE, one(HEAD + b"X-Meadow: 7\r\n")),
    "two files": (TYPE, one(data=PHOTO + b"\r\n--meadow-7\r\n" + HEAD + b"\r\nanother")),
    "a longer boundary within": (TYPE, one(data=b"\r\n--meadow-78")),
    "a preamble": (TYPE, b"before\r\n" + one()),
    "an epilogue": (TYPE, one() + b"behind"),
    "no last line end": (TYPE, one(end=b"\r\n--meadow-7--")),
    "no end": (TYPE, one(end=b"")),
    "not the last boundary": (TYPE, one(end=b"\r\n--meadow-7\r\n")),
    "no body": (TYPE, b""),
    "a quoted boundary": ('multipart/form-data; boundary="meadow-7"', one()),
    "another boundary": ("multipart/form-data; boundary=meadow", one()),
    "a long boundary": (f"multipart/form-data; boundary={'m' * 201}", one()),
    "no boundary": ("multipart/form-data", one()),
}


@pytest.mark.parametrize(("kind", "body"), OTHERS.values(), ids=OTHERS)
def test_any_other_form_is_read_and_refused_by_the_parser(kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch):
    assert only_file(kind, body, "file") is None
    assert outcome(kind, body) == parsed(kind, body, monkeypatch)


def test_a_changed_form_is_read_and_refused_as_by_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)  # noqa: S311 - of test cases
    for _ in range(3000):
        body = bytearray(chance.choice(list(USUAL.values())))
        for _ in range(chance.choice((1, 1, 2, 3))):
            at = chance.randrange(len(body))
            if chance.random() < 0.6:
                body[at] = chance.choice((*b'\r\n-"; :=m7', chance.randrange(256)))
            else:
                body[at : at + chance.randrange(3)] = chance.choice((b"", b"\r\n", b"\r\n--meadow-7", b'"'))
        assert outcome(TYPE, bytes(body)) == parsed(TYPE, bytes(body), monkeypatch), bytes(body)
