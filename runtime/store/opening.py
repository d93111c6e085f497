"""Open the object store of a URI: a folder or s3://."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from runtime.store.folder import FolderStore
from runtime.store.interface import S3Settings, Store, StoreError, is_key

_BUCKET = re.compile(r"[a-zA-Z0-9.\-_]{1,255}")  # what botocore takes; servers are stricter


def open_store(uri: str, s3: S3Settings | None = None) -> Store:
    """The store that `uri` names: `s3://bucket/prefix`, or a folder (a path or a file:// URI).

    `s3` comes from the environment if not given. Nothing is asked of a server yet. Raises StoreError for a URI of
    another kind.
    """
    if not _is_text(uri):
        raise StoreError(f"{_shown(uri)}: is not UTF-8; give the folder another name")
    if uri.startswith("s3://"):
        return _open_s3(uri, s3)
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return FolderStore(_path_of(uri, parts))
    if parts.scheme:
        raise StoreError(f"{uri}: is neither a folder nor s3://bucket/prefix")
    return FolderStore(Path(uri))


def _open_s3(uri: str, s3: S3Settings | None) -> Store:
    """Not by `urlsplit`: in a key `#`, `?` and `%` are characters like others."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not bucket:
        raise StoreError(f"{uri}: names no bucket; write s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(f"{uri}: {bucket!r} is no name of a bucket; it has lower case, digits, hyphens and dots alone")
    if prefix and ("//" in prefix or not is_key(prefix)):
        raise StoreError(f"{uri!r}: {prefix!r} is no prefix; leave out `.`, `..`, `//` and control characters")
    from runtime.store.s3 import S3Store  # noqa: PLC0415 - boto3 costs 9 MB, which a folder does not need

    return S3Store(bucket, prefix, s3 or S3Settings.from_environment())


def _path_of(uri: str, parts: SplitResult) -> Path:
    """The path of a file: URI, percent-decoded (RFC 8089, section 2)."""
    if parts.netloc not in {"", "localhost"}:
        raise StoreError(f"{uri}: names another host; write file:///path, or the path alone")
    if "#" in uri or "?" in uri:
        raise StoreError(f"{uri}: write %23 for `#` and %3F for `?` in a file: URI, or the path alone")
    path = unquote(parts.path, errors="surrogateescape")
    if not _is_text(path) or "\0" in path:
        raise StoreError(f"{uri}: is no path in UTF-8; give the folder another name")
    return Path(path)


def _is_text(uri: str) -> bool:
    """Whether this can be written in JSON and logs: no surrogates, which stand for bytes that are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in uri)


def _shown(uri: str) -> str:
    """`uri` with an escape for each byte that is not UTF-8."""
    return "".join(f"\\x{ord(it) & 0xFF:02x}" if "\ud800" <= it <= "\udfff" else it for it in uri)
