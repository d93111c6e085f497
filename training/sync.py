"""Trees of files between a folder and a store: only what differs travels; the index, written last, is what counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec

from runtime.commands import Refusal
from runtime.progress import progress
from runtime.store import Missing, Store

INDEX = "index.json"
WORKERS = 8


class SyncError(Refusal):
    """A tree that is not whole; the message names it and the remedy."""


class Index(msgspec.Struct, frozen=True):
    """What a tree in a store consists of: the SHA-256 of each file, by its path below the tree."""

    created: str
    files: dict[str, str]


def upload_tree(folder: Path, store: Store, prefix: str, paths: Iterable[str] | None = None) -> int:
    """Make the tree `prefix` what is in `folder`, or its `paths`; returns how many files travelled.

    A tree that is the same already is left as it is, with its date. Files that no longer belong to it are removed
    after the index has been written: whoever reads meanwhile finds a whole tree, the old or the new one.
    """
    before = read_index(store, prefix)
    there = dict(before.files) if before else {}
    files = {path: sha256_of(folder / path) for path in sorted(paths if paths is not None else _files(folder))}
    if before and files == there:
        return 0
    changed = [path for path, digest in files.items() if there.get(path) != digest]
    _each(changed, lambda path: store.upload(f"{prefix}/{path}", folder / path), f"store {prefix}")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    store.write(f"{prefix}/{INDEX}", msgspec.json.format(msgspec.json.encode(Index(created, files)), indent=1))
    for path in there.keys() - files.keys():
        store.delete(f"{prefix}/{path}")
    return len(changed)


def download_tree(store: Store, prefix: str, folder: Path) -> Index:
    """Make `folder` what the tree `prefix` is; files that are the same already stay. Raises SyncError, StoreError."""
    index = read_index(store, prefix)
    if index is None:
        raise SyncError(f"{store.uri}/{prefix}: is not there; run the step that makes it first")

    def bring(path: str) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.download(f"{prefix}/{path}", target)
        except Missing as error:
            raise SyncError(f"{store.uri}/{prefix}/{path}: the index names it, but it is not there") from error
        if sha256_of(target) != index.files[path]:
            target.unlink()
            raise SyncError(f"{store.uri}/{prefix}/{path}: is not what the index says; store the tree again")

    _each([path for path in index.files if not _same(folder / path, index.files[path])], bring, f"fetch {prefix}")
    for path in set(_files(folder)) - index.files.keys():
        (folder / path).unlink()
    return index


def read_index(store: Store, prefix: str) -> Index | None:
    """The index of a tree, None where there is no whole one."""
    try:
        data, _ = store.read(f"{prefix}/{INDEX}")
    except Missing:
        return None
    try:
        index = msgspec.json.decode(data, type=Index)
    except msgspec.DecodeError as error:
        raise SyncError(f"{store.uri}/{prefix}/{INDEX}: {error}; delete it and store the tree again") from error
    if not all(_is_below(path) for path in index.files):
        raise SyncError(f"{store.uri}/{prefix}/{INDEX}: names files outside of the tree; store the tree again")
    return index


def delete_tree(store: Store, prefix: str) -> None:
    """Remove a tree, its index first."""
    store.delete(f"{prefix}/{INDEX}")
    for entry in list(store.list(f"{prefix}/")):
        store.delete(entry.key)


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    """Paths below `folder`; what begins with a dot is somebody's scratch."""
    paths = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _same(file: Path, digest: str) -> bool:
    return file.is_file() and sha256_of(file) == digest


def _is_below(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts


def _each(paths: list[str], do: Callable[[str], None], what: str) -> None:
    if not paths:
        return
    with ThreadPoolExecutor(WORKERS) as pool, progress(what, len(paths)) as advance:
        try:
            for _ in pool.map(do, paths):
                advance()
        finally:
            pool.shutdown(cancel_futures=True)


def summary(counts: Mapping[str, int]) -> str:
    """For people: `200 dandelion, 200 grass`."""
    return ", ".join(f"{count} {label}" for label, count in counts.items())
