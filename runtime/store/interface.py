"""The object store interface: read, conditional write (compare-and-swap), list, delete."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from runtime.errors import Refusal

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
MAX_SHOWN = 100  # characters of a key in an error


class StoreError(Refusal):
    """A store that is unreachable, denies access or does not exist; the message names it and the remedy."""

    retryable = True


class Missing(StoreError):
    """No object has this key."""


class Denied(StoreError):
    """The store forbids this to whoever asks (HTTP 403); it may allow other things."""


class Conflict(StoreError):
    """A conditional write failed: another writer was first (HTTP 412)."""

    retryable = False


class TooLarge(StoreError):
    """The object is larger than the limit; it was not read to its end."""

    retryable = False

    @classmethod
    def than(cls, max_bytes: int, name: str) -> Self:
        """The refusal of `name`, which goes on after `max_bytes`."""
        return cls(f"{name}: is larger than the {max_bytes:,} bytes that it may be; it was not read to its end")

    @classmethod
    def many(cls, at_most: int, name: str) -> Self:
        """The refusal of a listing of `name`, which goes on after `at_most` objects."""
        return cls(f"{name}: holds more than the {at_most:,} objects that it may; it was not listed to its end")


class InvalidKey(Missing):
    """No object can have this key; nothing was asked of the store."""

    retryable = False


class _Any(Enum):
    ANY = "whatever is there"


ANY: Final = _Any.ANY
Replaces = str | None | _Any


class Entry(NamedTuple):
    """One object; `modified` is when it was last written, in Unix seconds, 0 if unknown."""

    key: str
    size_bytes: int
    modified: float = 0.0


class Digest(NamedTuple):
    """A content hash: SHA-256 in hexadecimal digits, and the size."""

    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> Self:
        """Of what `chunks` are together."""
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
        return cls(digest.hexdigest(), size_bytes)


def checked_key(uri: str, key: str) -> str:
    """`key`; raises InvalidKey where it could lead out of the store, or cannot be a path.

    Servers differ in what they make of `..` in a key: some take it literally, some resolve it.
    """
    if not is_key(key):
        raise InvalidKey(f"{uri}: {key[:MAX_SHOWN]!r} is no key inside this store")
    return key


def is_key(key: str) -> bool:
    """Whether `key` stays in the store, and can be a path."""
    leads_out = key.startswith("/") or {".", ".."} & set(key.split("/"))
    return bool(key) and not leads_out and not _CONTROL.search(key)


class Store(Protocol):
    """A flat space of keys with slashes. Writes are atomic. Thread-safe."""

    uri: str

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        """The content of `key`, at most `max_bytes`, and its tag (ETag); raises Missing, TooLarge, StoreError."""

    def tag(self, key: str) -> str | None:
        """The tag (ETag) of `key`; None if there is no object. Raises StoreError."""

    def digest(self, key: str, *, max_bytes: int) -> Digest:
        """Hash and size of the content under `key`, of at most `max_bytes`; raises Missing, TooLarge, StoreError."""

    def download(self, key: str, file: Path, *, max_bytes: int) -> None:
        """Write the content under `key`, of at most `max_bytes`, to `file`, by an atomic rename.

        Raises Missing, TooLarge, StoreError.
        """

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """Write `data` under `key` and return its tag.

        `replaces` makes it a conditional write: the tag that must still be there (If-Match), None if the key must be
        new (If-None-Match), ANY for no condition. Raises Conflict if the condition fails, StoreError.
        """

    def upload(self, key: str, file: Path) -> None:
        """Write the content of `file`, of any size, under `key`; raises StoreError."""

    def list(self, prefix: str = "", *, invalid: bool = False, at_most: int | None = None) -> Iterator[Entry]:
        """All objects whose key begins with `prefix`, in the order of their keys (of their UTF-8).

        Raises StoreError, and TooLarge if there are more than `at_most`.

        Objects of other programs, whose names are not valid keys here, are left out, unless `invalid` asks for them,
        too: they cannot be read. A file's name that is not UTF-8 has surrogates for its bytes, as `os.fsdecode` does.
        """

    def delete(self, key: str) -> None:
        """Remove `key`. Idempotent. Raises StoreError."""

    def create(self) -> bool:
        """Create the bucket or folder; returns whether it is new. Idempotent. Raises StoreError."""

    def remove_abandoned(self, prefix: str = "") -> int:
        """Remove temporary files and uploads of killed writers below `prefix`; returns how many. Raises StoreError."""


@dataclass(frozen=True)
class S3Settings:
    """How to reach an S3 server; if a value is None, boto3 uses its own sources (AWS_… variables, profiles)."""

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """MINIO_ENDPOINT (host:port or a URL), MINIO_ACCESS_KEY and MINIO_SECRET_KEY."""
        endpoint = environment.get("MINIO_ENDPOINT") or None
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        return cls(endpoint, environment.get("MINIO_ACCESS_KEY") or None, environment.get("MINIO_SECRET_KEY") or None)
