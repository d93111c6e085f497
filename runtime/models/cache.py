"""Verified copies of versions on this host, and which of them served last."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runtime.bundle import MANIFEST, Bundle, BundleError
from runtime.models.catalogue import MODELS, SIGNATURE, Catalogue, key_of
from runtime.models.signature import verify
from runtime.store import Missing

if TYPE_CHECKING:
    from nacl.signing import VerifyKey

KEPT = 3  # versions besides those that serve, served before or are pinned


class State(msgspec.Struct, frozen=True):
    """What this host remembers: the version that serves well, the one before it, and the one it is pinned to."""

    last_good: str | None = None
    previous: str | None = None
    pinned: str | None = None


class Cache:
    """A folder of versions that were whole when they were put there, and are verified again when opened."""

    def __init__(self, folder: Path, key: VerifyKey | None = None) -> None:
        """With `key`, only versions signed by its private part are let in or opened."""
        self._versions = folder / "models"
        self._state_file = folder / "state.json"
        self._key = key
        self._lock = threading.Lock()

    def pull(self, catalogue: Catalogue, version: str, *, manifest_sha256: str | None = None) -> Bundle:
        """Bring one version here, or open the copy that is here already.

        Raises StoreError, Missing and BundleError; half a version is never left behind.
        """
        data, manifest = catalogue.manifest(version, sha256=manifest_sha256)
        target = self._versions / version
        with suppress(BundleError, OSError):  # not here, or no longer whole
            if (target / MANIFEST).read_bytes() == data:
                return self.open(version)
        self._versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._versions, prefix=".pull-") as temporary:
            folder = Path(temporary) / version
            folder.mkdir()
            (folder / MANIFEST).write_bytes(data)
            with suppress(Missing):  # whether it must be signed is said below
                (folder / SIGNATURE).write_bytes(catalogue.store.read(key_of(version, SIGNATURE))[0])
            self._check_signature(folder)  # before megabytes are fetched
            for name in manifest.files:
                catalogue.store.download(key_of(version, name), folder / name)
            try:
                self._opened(folder)
            except BundleError as error:
                origin = f"{catalogue.store.uri}/{MODELS}/{version}"
                raise BundleError(str(error).replace(str(folder), origin)) from error
            self._put(folder, target)
        return self.open(version)

    def add(self, folder: Path) -> Bundle:
        """Copy a bundle's folder in; raises BundleError."""
        bundle = self._opened(folder)
        self._versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._versions, prefix=".pull-") as temporary:
            copy = Path(temporary) / bundle.manifest.version
            copy.mkdir()
            for name in [MANIFEST, *bundle.manifest.files]:
                shutil.copyfile(folder / name, copy / name)
            if (folder / SIGNATURE).is_file():
                shutil.copyfile(folder / SIGNATURE, copy / SIGNATURE)
            self._opened(copy)
            self._put(copy, self._versions / bundle.manifest.version)
        return self.open(bundle.manifest.version)

    def open(self, version: str) -> Bundle:
        """Verify and open a version that is here; raises BundleError."""
        return self._opened(self.folder_of(version))

    def folder_of(self, version: str) -> Path:
        """Where a version is, or would be."""
        return self._versions / version

    def versions(self) -> list[str]:
        """The versions that are here, oldest name first."""
        return sorted(manifest.parent.name for manifest in self._versions.glob(f"[!.]*/{MANIFEST}"))

    @property
    def state(self) -> State:
        """What is remembered; nothing where the file is missing or unreadable."""
        try:
            return msgspec.json.decode(self._state_file.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State()

    def served(self, version: str) -> None:
        """Remember that `version` serves well."""
        state = self.state
        if state.last_good != version:
            self._remember(msgspec.structs.replace(state, last_good=version, previous=state.last_good))

    def pin(self, version: str | None) -> None:
        """Remember to serve `version` and no other, or with None to follow the store again."""
        self._remember(msgspec.structs.replace(self.state, pinned=version))

    def prune(self, *, except_for: Iterable[str] = ()) -> list[str]:
        """Remove the oldest versions that nothing needs, but for KEPT; returns what was removed."""
        state = self.state
        needed = {state.last_good, state.previous, state.pinned, *except_for}
        spare = [version for version in self.versions() if version not in needed]
        removed = spare[:-KEPT]
        for version in removed:
            shutil.rmtree(self._versions / version, ignore_errors=True)
        return removed

    def _opened(self, folder: Path) -> Bundle:
        bundle = Bundle.open(folder)
        if bundle.manifest.version != folder.name:
            raise BundleError(f"{folder}: holds version {bundle.manifest.version}; pull it again")
        self._check_signature(folder)
        return bundle

    def _check_signature(self, folder: Path) -> None:
        if self._key:
            file = folder / SIGNATURE
            signature = file.read_bytes() if file.is_file() else None
            verify((folder / MANIFEST).read_bytes(), signature, self._key, origin=folder.name)

    def _put(self, folder: Path, target: Path) -> None:
        with self._lock:
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)

    def _remember(self, state: State) -> None:
        with self._lock:
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            part = self._state_file.with_suffix(".partial")
            part.write_bytes(msgspec.json.encode(state))
            part.replace(self._state_file)
