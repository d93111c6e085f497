"""Open the object store of a URI: a folder or s3://."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from runtime.store.folder import FolderStore
from runtime.store.interface import S3Settings, Store, StoreError


def open_store(uri: str, s3: S3Settings | None = None) -> Store:
    """The store that `uri` names: `s3://bucket/prefix`, or a folder (a path or a file:// URI).

    `s3` comes from the environment if not given. Nothing is asked of a server yet. Raises StoreError for a URI of
    another kind.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise StoreError(f"{uri}: names no bucket; write s3://bucket/prefix")
        from runtime.store.s3 import S3Store  # noqa: PLC0415 - boto3 costs 9 MB, which a folder does not need

        return S3Store(parts.netloc, parts.path.strip("/"), s3 or S3Settings.from_environment())
    if parts.scheme == "file":
        return FolderStore(Path(parts.path))
    if parts.scheme:
        raise StoreError(f"{uri}: is neither a folder nor s3://bucket/prefix")
    return FolderStore(Path(uri))
