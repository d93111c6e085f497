"""Trees of files in a store: an index with the SHA-256 of each, written last, says what a tree consists of.

Whoever reads while a tree is replaced finds a whole one, the old or the new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

import msgspec

from runtime.errors import Refusal
from runtime.names import NOT_JSON, is_path_below, plain
from runtime.store.interface import ANY, Missing, Replaces, Store

INDEX = "index.json"
MAX_INDEX_BYTES = 2**28  # of more than a million files


class SyncError(Refusal):
    """A tree that is not whole; the message names it and the remedy."""


class Index(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tree in a store consists of: the SHA-256 of each file, by its path below the tree.

    `origin` is where the files came from, if that matters to whoever replaces the tree.
    """

    created: str
    files: dict[str, str]
    origin: str | None = None


def read_index(store: Store, prefix: str) -> Index | None:
    """The index of a tree, None where there is no whole one. Raises SyncError, StoreError."""
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


def write_index(
    store: Store, prefix: str, files: Mapping[str, str], *, origin: str | None = None, replaces: Replaces = ANY
) -> None:
    """Write the index of a tree; raises StoreError, and Conflict as a conditional write does."""
    index = Index(datetime.now(UTC).isoformat(timespec="seconds"), dict(files), origin)
    store.write(f"{prefix}/{INDEX}", msgspec.json.format(msgspec.json.encode(index), indent=1), replaces=replaces)


def replace_tree(
    store: Store,
    prefix: str,
    files: Mapping[str, str],
    put: Callable[[Sequence[str]], None],
    *,
    before: Index | None,
    origin: str | None = None,
) -> int:
    """Make the tree `prefix` exactly `files`, the SHA-256 of each by its path; returns how many travelled.

    `put` writes the files with these paths; `before` is the index that is there. A tree that is the same already is
    left as it is, with its date. Whatever else lies below `prefix` is removed after the index has been written. What
    the index names and the store has lost, to another writer or to anything else, travels again. Raises StoreError.
    """
    there = dict(before.files) if before else {}
    same = before is not None and dict(files) == there and before.origin == origin
    changed = sorted(path for path, digest in files.items() if there.get(path) != digest)
    put(changed)
    if not same:
        write_index(store, prefix, files, origin=origin)
    held = {entry.key.removeprefix(f"{prefix}/") for entry in store.list(f"{prefix}/")} - {INDEX}
    lost = sorted(files.keys() - held)
    put(lost)
    for path in held - files.keys():
        store.delete(f"{prefix}/{path}")
    return len(changed) + len(lost)
