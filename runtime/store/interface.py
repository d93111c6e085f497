"""What a store can do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from runtime.commands import Refusal


class StoreError(Refusal):
    """A store that cannot be used: unreachable, refused or missing; the message names it and the remedy."""

    may_pass = True


class Missing(StoreError):
    """There is nothing under this key."""


class Conflict(StoreError):
    """A conditional write came too late: somebody else has written."""

    may_pass = False


class _Any(Enum):
    ANY = "whatever is there"


ANY: Final = _Any.ANY
Replaces = str | None | _Any


class Entry(NamedTuple):
    """One object."""

    key: str
    size_bytes: int


class Store(Protocol):
    """A flat space of keys with slashes. Every write is whole or not at all. Safe to use from several threads."""

    uri: str

    def read(self, key: str) -> tuple[bytes, str]:
        """The content under `key` and its tag; raises Missing, StoreError."""

    def download(self, key: str, file: Path) -> None:
        """Write the content under `key` to `file`, which appears only when it is whole; raises Missing, StoreError."""

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """Write `data` under `key` and return its tag.

        `replaces` is the tag that must still be there, None where nothing may be there yet, ANY where it does not
        matter. Raises Conflict where it is otherwise, StoreError.
        """

    def upload(self, key: str, file: Path) -> None:
        """Write the content of `file`, of any size, under `key`; raises StoreError."""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose key begins with `prefix`, in the order of their keys; raises StoreError."""

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens where it is not there. Raises StoreError."""

    def create(self) -> bool:
        """Make the bucket or folder; returns whether it was not there before. Raises StoreError."""


@dataclass(frozen=True)
class S3Settings:
    """How to reach an S3 server; where a value is None, boto3 looks in its own places (AWS_… variables, profiles)."""

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
