"""A store with one model under two version names, to measure hot reload."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.bundle.manifest import MANIFEST, Bundle
from runtime.registry.catalogue import POINTER
from runtime.registry.pointer import Pointer
from runtime.registry.publish import add
from runtime.store import Store, open_store

NAMES = ("reload-a", "reload-b")


class TwoVersions(NamedTuple):
    """The store, and what points at each version in it."""

    store: Store
    first: Pointer
    second: Pointer

    def point_at(self, pointer: Pointer) -> None:
        """Replace `models/latest.json`; both versions were verified when they were put there."""
        self.store.write(POINTER, msgspec.json.encode(pointer))


def publish_two(bundle: Bundle, folder: Path) -> TwoVersions:
    """Put the bundle twice into the store `folder`/store, unsigned; nothing is pointed at yet. Raises StoreError."""
    store = open_store(str(folder / "store"))
    first, second = (add(_copy(bundle, folder / name), store) for name in NAMES)
    return TwoVersions(store, first, second)


def _copy(bundle: Bundle, folder: Path) -> Path:
    """The bundle's files in `folder`, under its name as the version; a signature would no longer fit."""
    folder.mkdir()
    for name in bundle.manifest.files:
        shutil.copyfile(bundle.path / name, folder / name)
    manifest = msgspec.json.decode((bundle.path / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest | {"version": folder.name}))
    return folder
