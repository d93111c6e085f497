"""Pre-encoded HTTP/1.1 requests: made once, before anything is measured."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

import msgspec

BOUNDARY = "photo-8f2b91c7"
Encode = Callable[[bytes], bytes]


def raw(path: str, *headers: str, content_type: str = "image/jpeg") -> Encode:
    """The photo as the body of a POST, with more `headers` ("Name: value")."""
    return lambda data: post(path, content_type, data, *headers)


def form(path: str, field: str = "file") -> Encode:
    """The photo as a file of a form, as `curl -F` sends it."""
    return lambda data: form_of(path, [data], field)


def form_of(path: str, photos: Sequence[bytes], field: str) -> bytes:
    """Several photos as the same field of one form."""
    return post(path, f"multipart/form-data; boundary={BOUNDARY}", form_body(photos, field))


def form_body(photos: Sequence[bytes], field: str) -> bytes:
    """That form's body; its boundary is BOUNDARY."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{number}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        + b"\r\n"
        for number, data in enumerate(photos)
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def kserve_json(path: str, name: str = "photo") -> Encode:
    """The photo in base64 as a tensor of the Open Inference Protocol's JSON form."""

    def encode(data: bytes) -> bytes:
        tensor = {
            "name": name,
            "shape": [1, 1],
            "datatype": "BYTES",
            "parameters": {"content_type": "base64"},
            "data": [base64.b64encode(data).decode()],
        }
        return post(path, "application/json", msgspec.json.encode({"inputs": [tensor]}))

    return encode


def post(path: str, content_type: str, body: bytes, *headers: str) -> bytes:
    """One POST on a connection that is kept, with more `headers` ("Name: value")."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Accept: */*",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
