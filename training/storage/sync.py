"""Tree synchronisation between a folder and a store: only changes travel, and the index is written last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec

from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.names import NOT_JSON, is_path_below, plain
from runtime.store import Missing, Store
from training.storage.hashing import sha256_of

INDEX = "index.json"
WORKERS = 8
MAX_INDEX_BYTES = 2**28  # of more than a million files
MAX_FILE_BYTES = 2**31


class SyncError(Refusal):
    """A tree that is not whole; the message names it and the remedy."""


class Index(msgspec.Struct, frozen=True):
    """What a tree in a store consists of: the SHA-256 of each file, by its path below the tree."""

    created: str
    files: dict[str, str]


def upload_tree(folder: Path, store: Store, prefix: str, paths: Iterable[str] | None = None) -> int:
    """Make the tree `prefix` exactly what is in `folder`, or its `paths`; returns how many files travelled.

    A tree that is the same already is left as it is, with its date. Whatever else lies below `prefix` is removed after
    the index has been written: whoever reads meanwhile finds a whole tree, the old or the new one. What the index names
    and the store has lost, to another writer or to anything else, travels again.
    """
    before = read_index(store, prefix)
    there = dict(before.files) if before else {}
    files = {path: sha256_of(folder / path) for path in sorted(paths if paths is not None else _files(folder))}
    changed = [path for path, digest in files.items() if there.get(path) != digest]
    _upload(folder, store, prefix, changed)
    if before is None or files != there:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        store.write(f"{prefix}/{INDEX}", msgspec.json.format(msgspec.json.encode(Index(created, files)), indent=1))
    held = {entry.key.removeprefix(f"{prefix}/") for entry in store.list(f"{prefix}/")} - {INDEX}
    lost = sorted(files.keys() - held)
    _upload(folder, store, prefix, lost)
    for path in held - files.keys():
        store.delete(f"{prefix}/{path}")
    return len(changed) + len(lost)


def _upload(folder: Path, store: Store, prefix: str, paths: list[str]) -> None:
    _each(paths, lambda path: store.upload(f"{prefix}/{path}", folder / path), f"store {prefix}")


def download_tree(store: Store, prefix: str, folder: Path) -> Index:
    """Make `folder` what the tree `prefix` is; files that are the same already stay. Raises SyncError, StoreError."""
    index = read_index(store, prefix)
    if index is None:
        raise SyncError(f"{store.uri}/{prefix}: is not there; run the step that makes it first")

    def bring(path: str) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.download(f"{prefix}/{path}", target, max_bytes=MAX_FILE_BYTES)
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
        data, _ = store.read(f"{prefix}/{INDEX}", max_bytes=MAX_INDEX_BYTES)
    except Missing:
        return None
    try:
        index = msgspec.json.decode(data, type=Index)
    except NOT_JSON as error:
        raise SyncError(f"{store.uri}/{prefix}/{INDEX}: {plain(error)}; delete it and store the tree again") from error
    if not all(is_path_below(path) for path in index.files):
        raise SyncError(f"{store.uri}/{prefix}/{INDEX}: names files outside of the tree; store the tree again")
    if any(str(above) in index.files for path in index.files for above in PurePosixPath(path).parents):
        raise SyncError(f"{store.uri}/{prefix}/{INDEX}: names a file and others below it; store the tree again")
    return index


def delete_tree(store: Store, prefix: str) -> None:
    """Remove a tree, its index first."""
    store.delete(f"{prefix}/{INDEX}")
    for entry in list(store.list(f"{prefix}/")):
        store.delete(entry.key)


def _files(folder: Path) -> list[str]:
    """Paths below `folder`; what begins with a dot is somebody's scratch."""
    paths = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _same(file: Path, digest: str) -> bool:
    return file.is_file() and sha256_of(file) == digest


def _each(paths: list[str], do: Callable[[str], None], what: str) -> None:
    if not paths:
        return
    with ThreadPoolExecutor(WORKERS) as pool, progress(what, len(paths)) as advance:
        try:
            for _ in pool.map(do, paths):
                advance()
        finally:
            pool.shutdown(cancel_futures=True)
