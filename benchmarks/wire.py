"""HTTP/1.1 requests as ready bytes: made once, before anything is measured."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

import msgspec

BOUNDARY = "photo-8f2b91c7"
Encode = Callable[[bytes], bytes]


def raw(path: str, *, content_type: str = "image/jpeg") -> Encode:
    """The photo as the body of a POST."""
    return lambda data: post(path, content_type, data)


def form(path: str, field: str = "file") -> Encode:
    """The photo as a file of a form, as `curl -F` sends it."""
    return lambda data: form_of(path, [data], field)


def form_of(path: str, photos: Sequence[bytes], field: str) -> bytes:
    """Several photos as the same field of one form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{number}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        + b"\r\n"
        for number, data in enumerate(photos)
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return post(path, f"multipart/form-data; boundary={BOUNDARY}", body)


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


def post(path: str, content_type: str, body: bytes) -> bytes:
    """One POST on a connection that is kept."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nAccept: */*\r\n\r\n"
    )
    return head.encode() + body
