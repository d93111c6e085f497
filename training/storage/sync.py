"""Tree synchronisation between a folder and a store: only changes travel, and the index is written last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.cli.progress import progress
from runtime.store import Missing, Store
from runtime.store.trees import INDEX, Index, SyncError, read_index, replace_tree
from training.storage.hashing import sha256_of

WORKERS = 8
MAX_FILE_BYTES = 2**31


def upload_tree(
    folder: Path, store: Store, prefix: str, paths: Iterable[str] | None = None, *, origin: str | None = None
) -> int:
    """Make the tree `prefix` exactly what is in `folder`, or its `paths`; returns how many files travelled.

    See `replace_tree`.
    """
    files = {path: sha256_of(folder / path) for path in sorted(paths if paths is not None else _files(folder))}

    def put(changed: Sequence[str]) -> None:
        _each(changed, lambda path: store.upload(f"{prefix}/{path}", folder / path), f"store {prefix}")

    return replace_tree(store, prefix, files, put, before=read_index(store, prefix), origin=origin)


def download_tree(store: Store, prefix: str, folder: Path) -> Index:
    """Make `folder` what the tree `prefix` is; files that are the same already stay. Raises SyncError, StoreError."""
    index = read_index(store, prefix)
    if index is None:
        raise SyncError(f"{store.uri}/{prefix}: is not there; run the step that makes it first")
    download_files(store, prefix, index.files, folder)
    for path in set(_files(folder)) - index.files.keys():
        (folder / path).unlink()
    return index


def download_files(store: Store, prefix: str, files: Mapping[str, str], folder: Path) -> None:
    """Bring files of the tree `prefix`, the SHA-256 of each by its path, to `folder`. Raises SyncError, StoreError."""

    def bring(path: str) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.download(f"{prefix}/{path}", target, max_bytes=MAX_FILE_BYTES)
        except Missing as error:
            raise SyncError(f"{store.uri}/{prefix}/{path}: the index names it, but it is not there") from error
        if sha256_of(target) != files[path]:
            target.unlink()
            raise SyncError(f"{store.uri}/{prefix}/{path}: is not what the index says; store the tree again")

    _each([path for path in files if not _same(folder / path, files[path])], bring, f"fetch {prefix}")


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


def _each(paths: Sequence[str], do: Callable[[str], None], what: str) -> None:
    if not paths:
        return
    with ThreadPoolExecutor(WORKERS) as pool, progress(what, len(paths)) as advance:
        try:
            for _ in pool.map(do, paths):
                advance()
        finally:
            pool.shutdown(cancel_futures=True)
