"""Multipart form parser with limits: parts, text fields, character sets; reading costs no more than the bytes do.

Litestar's own decodes a text field of any length by any codec that its sender names, on the event loop: some of
Python's take the square of the length (`punycode`: hours for 20 MB). The parser below it is the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.exceptions import ClientException
from multipart import (  # type: ignore[import-untyped]  # what Litestar parses forms with
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

MAX_PARTS = 1000
MAX_TEXT_BYTES = 4096  # of a field that is no file: labels and versions have a hundred letters
NEVER_TO_DISK = 0  # the disk may be read-only; `Uploads` counts the whole body as memory
MAX_BOUNDARY_BYTES = 200  # RFC 2046 allows 70
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252"})

# The usual spelling, which every parser takes for the same: one name, one file name, nothing quoted or folded.
_PLAIN_TYPE = re.compile(rf"multipart/form-data; ?boundary=([A-Za-z0-9_-]{{1,{MAX_BOUNDARY_BYTES}}})")
_PLAIN_PART = re.compile(
    rb'\r\nContent-Disposition: form-data; name="(\w{1,64})"; filename="[A-Za-z0-9_-][A-Za-z0-9_. -]{0,99}"'
    rb"\r\n(?:Content-Type: [a-z]{1,20}/[a-z0-9.+-]{1,60}\r\n)?\r\n"
)

_Value = UploadFile | bytearray
_Values = defaultdict[str, Any]


class NoFileName(ClientException):
    """A part that should be a file has no file name, by which alone a form tells files from texts (RFC 7578, 4.2)."""


class TooManyParts(ClientException):
    """A form of more than MAX_PARTS parts."""

    def __init__(self) -> None:
        """Name the limit."""
        super().__init__(f"the form has more than {MAX_PARTS} parts")


def only_file(content_type: str, body: bytes, field: str) -> bytes | None:
    """The file of a form that is one file in `field`, written as clients usually do; None for any other form."""
    named = _PLAIN_TYPE.fullmatch(content_type)
    if named is None:
        return None
    boundary = named[1].encode()
    part = _PLAIN_PART.match(body, 2 + len(boundary))
    if part is None or not body.startswith(b"--" + boundary) or part[1] != field.encode():
        return None
    end = body.find(b"\r\n--" + boundary, part.end())
    return body[part.end() : end] if end > 0 and body[end:] == b"\r\n--" + boundary + b"--\r\n" else None


def file_of(content_type: str, body: bytes, field: str, files: Collection[str]) -> bytes | None:
    """The file in the first `field` of a form that has arrived; None where that has none.

    Raises as `read_parts` does. Quicker than that, since there is nothing to wait for, and no temporary file; `body` is
    copied, so it should be short.
    """
    first: dict[str, bytes | None] = {}
    try:
        for segment, data in _segments(_boundary(parse_options_header(content_type)[1]), body, files):
            if not segment.filename:
                _decode_text(segment, data)
            first.setdefault(segment.name, bytes(data) if segment.filename else None)
    except MultipartError as error:
        raise ClientException(str(error)) from error
    return first.get(field)


def _segments(boundary: bytes, body: bytes, files: Collection[str]) -> Iterator[tuple[MultipartSegment, bytearray]]:
    parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS + 1)
    parts = 0
    segment: MultipartSegment | None = None
    data = bytearray()
    for event in parser.parse(body) if body else ():
        if isinstance(event, MultipartSegment):
            parts += 1
            _check_part(event, parts, files)
            segment, data = event, bytearray()
        elif event:
            if segment is not None and not segment.filename:
                _check_text(len(event))
            data += event
        elif segment is not None:
            yield segment, data
    if body:  # an empty one would be no form; here it is one without fields
        parser.close()  # raises for a form that is cut off


async def read_parts(request: Request[Any, Any, Any], files: Collection[str] = ()) -> FormMultiDict:
    """The files and text fields of a multipart form; empty for a body of another kind, which is not read.

    Raises ClientException for what is no form, and for more parts or longer texts than accepted; NoFileName for a text
    where one of `files` should be. The files are closed at the end of the request.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data":
        return FormMultiDict()
    boundary = _boundary(options)
    values: _Values = defaultdict(list)
    request._connection_state.form = values  # where Litestar looks for files to close
    try:
        await _parse(request.stream(), boundary, values, files)
    except MultipartError as error:
        raise ClientException(str(error)) from error
    return FormMultiDict.from_form_data(values)


def _boundary(options: Mapping[str, str]) -> bytes:
    """The boundary that a content type names; raises ClientException."""
    boundary = options.get("boundary", "").encode()
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise ClientException("the form has no boundary, or one that is too long")
    return boundary


async def content_of(file: UploadFile) -> bytes:
    """All of a file of a form, once: it is closed, so as not to be held twice."""
    content = await file.read()
    await file.close()
    return content


async def _parse(stream: AsyncIterator[bytes], boundary: bytes, values: _Values, files: Collection[str]) -> None:
    parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS + 1)
    parts = 0
    segment: MultipartSegment | None = None
    value: _Value = bytearray()
    empty = True
    async for chunk in stream:
        for event in parser.parse(chunk) if chunk else ():
            if isinstance(event, MultipartSegment):
                parts += 1
                _check_part(event, parts, files)
                segment, value = event, _begin(event, values)
            elif event:
                await _append(value, event)
            elif segment is not None:
                await _finish(segment, value, values)
        empty = empty and not chunk
    if not empty:  # which would be no form; here it is one without fields
        parser.close()  # raises for a form that is cut off


def _check_part(segment: MultipartSegment, number: int, files: Collection[str]) -> None:
    if number > MAX_PARTS:
        raise TooManyParts
    if not segment.filename and segment.name in files:
        raise NoFileName(f"the form has no file in the field `{segment.name}`: its part has no file name")


def _begin(segment: MultipartSegment, values: _Values) -> _Value:
    if not segment.filename:
        return bytearray()
    kind = segment.content_type or "text/plain"
    headers = dict(segment.headerlist)
    file = UploadFile(content_type=kind, filename=segment.filename, headers=headers, max_spool_size=NEVER_TO_DISK)
    values[segment.name].append(file)  # at once, so that it is closed whatever comes
    return file


async def _append(value: _Value, data: bytes) -> None:
    if isinstance(value, UploadFile):
        await value.write(data)
        return
    _check_text(len(value) + len(data))
    value.extend(data)


async def _finish(segment: MultipartSegment, value: _Value, values: _Values) -> None:
    if isinstance(value, UploadFile):
        await value.seek(0)
        return
    values[segment.name].append(_decode_text(segment, value))


def _check_text(size_bytes: int) -> None:
    if size_bytes > MAX_TEXT_BYTES:
        raise ClientException(f"a text field has more than {MAX_TEXT_BYTES} bytes")


def _decode_text(segment: MultipartSegment, value: bytes | bytearray) -> str:
    charset = (segment.charset or "utf-8").lower()
    if charset not in _CHARSETS:
        raise ClientException(f"a text field is in the character set {charset[:40]!r}; send UTF-8")
    return value.decode(charset)
