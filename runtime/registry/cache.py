"""Local cache of the model registry: verified copies of versions on this host, pinned and last good version."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.bundle.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE,
    Bundle,
    BundleError,
    Manifest,
)
from runtime.host.atomic import alone_in, remove_abandoned, remove_folder, temporary_folder
from runtime.names import is_name
from runtime.registry.catalogue import MAX_SHOWN, MODELS, Catalogue, key_of
from runtime.registry.host_key import host_key, host_public_key
from runtime.registry.pointer import Pointer, check_signature
from runtime.registry.signature import BadKey, is_signed, sign_folder, verify
from runtime.registry.state import State, StateFile
from runtime.store import Missing, TooLarge

if TYPE_CHECKING:
    from nacl.signing import VerifyKey

KEPT_TAUGHT = 5  # versions that were taught here and may be nowhere else


class Cache:
    """A folder of versions, written by atomic renames and verified again when opened.

    It keeps the active version, the previous one, the pinned one, the last that was fetched and those taught here.
    """

    def __init__(self, folder: Path, key: VerifyKey | None = None) -> None:
        """With `key`, only versions and pointers signed by its private key are accepted.

        And versions signed by this host's own key, which are those that were taught here.
        """
        self._folder = folder
        self.state_file = StateFile(folder / "state.json")
        self._versions = folder / "models"
        self._key = key
        self._in_use: list[str] = []

    @property
    def is_signed(self) -> bool:
        """Whether signatures are required."""
        return self._key is not None

    @property
    def state(self) -> State:
        """The stored state; empty if the file is missing or unreadable."""
        return self.state_file.read()

    def remove_abandoned(self) -> None:
        """Remove temporary folders of killed processes."""
        remove_abandoned(self._folder)

    def accept(self, pointer: Pointer, *, origin: str) -> None:
        """Verify the signature of a pointer, and remember its counter (rollback protection).

        Raises BundleError if there is a key and the pointer is not signed by it, or is older than one seen before.
        """
        if self._key is None:
            return
        check_signature(pointer, self._key, origin=origin)
        state = self.state
        if pointer.counter < state.counter or (
            pointer.counter == state.counter and pointer.manifest_sha256 != state.pointed
        ):
            raise BundleError(
                f"{origin}: its counter is {pointer.counter}, and this host has seen {state.counter}: an old pointer "
                f"was put back; sign it again, python -m runtime models promote {pointer.version}, if it is meant"
            )
        with suppress(OSError):  # a full disk weakens the protection, but does not stop updates
            self.state_file.change(counter=pointer.counter, pointed=pointer.manifest_sha256)

    def pull(
        self,
        catalogue: Catalogue,
        version: str,
        *,
        manifest_sha256: str | None = None,
        names: Collection[str] | None = None,
    ) -> Bundle:
        """Download one version, or open the cached copy; then prune the cache.

        With `names`, a model of any other name is refused. Raises StoreError, Missing and BundleError; a partial
        version is never visible.
        """
        data, manifest = catalogue.manifest(version, sha256=manifest_sha256)
        _check_name(manifest, names, origin=f"{catalogue.store.uri}/{MODELS}/{version}")
        target = self.folder_of(version)
        with suppress(BundleError, OSError):  # not here, or no longer whole
            if (target / MANIFEST).read_bytes() == data:
                return self.open(version)
        self._versions.mkdir(parents=True, exist_ok=True)
        with temporary_folder(self._versions) as temporary:
            folder = temporary / version
            folder.mkdir()
            (folder / MANIFEST).write_bytes(data)
            try:
                self._fetch(catalogue, folder, manifest)
                bundle = self._opened(folder)
            except (BundleError, TooLarge) as error:
                origin = f"{catalogue.store.uri}/{MODELS}/{version}"
                raise BundleError(str(error).replace(str(folder), origin)) from error
            self._put(folder, target)
        self.prune(except_for=[version])
        return replace(bundle, path=target)

    def add(self, folder: Path) -> Bundle:
        """Copy a bundle's folder into the cache; raises BundleError."""
        bundle = self._opened(folder)
        version = bundle.manifest.version
        if not self._has_same(folder, version):
            self._versions.mkdir(parents=True, exist_ok=True)
            with temporary_folder(self._versions) as temporary:
                copy = temporary / version
                _copy(bundle, copy)
                self._opened(copy)
                self._put(copy, self.folder_of(version))
        self.prune(except_for=[version])
        return self.open(version)

    def open(self, version: str) -> Bundle:
        """Verify and open a cached version; raises BundleError."""
        return self._opened(self.folder_of(version))

    def folder_of(self, version: str) -> Path:
        """The folder of a version, cached or not; raises BundleError for an invalid name."""
        if not is_name(version):
            raise BundleError(f"{version[:MAX_SHOWN]!r} is no version; see `models list`")
        return self._versions / version

    def versions(self) -> list[str]:
        """The cached versions, sorted by name: oldest first."""
        found = (manifest.parent.name for manifest in self._versions.glob(f"[!.]*/{MANIFEST}"))
        return sorted(version for version in found if is_name(version))

    def served(self, version: str) -> None:
        """Remember `version` as the last good one."""
        state = self.state
        if state.last_good != version:
            self.state_file.change(last_good=version, previous=state.last_good)

    def keep(self, version: str) -> None:
        """Protect a version that was taught here from `prune`: it may be nowhere else. Of many the newest count."""
        taught = [other for other in self.state.taught if other != version]
        self.state_file.change(taught=[*taught, version][-KEPT_TAUGHT:])

    def sign(self, folder: Path) -> None:
        """Sign a verified bundle by this host's own key, if signatures are required and it has none that counts here.

        Raises BadKey for a key that cannot be read, OSError.
        """
        if self.is_signed:
            try:
                self._check_signature(folder)
            except BundleError:
                sign_folder(folder, host_key(self._folder))

    def pin(self, version: str | None) -> None:
        """Pin `version`; None unpins."""
        self.state_file.change(pinned=version)

    @contextmanager
    def using(self, version: str) -> Iterator[None]:
        """Protect `version` from `prune` during the block."""
        self._in_use.append(version)
        try:
            yield
        finally:
            self._in_use.remove(version)

    def prune(self, *, except_for: Iterable[str] = ()) -> list[str]:
        """Evict the versions that are not active, previous, pinned, taught here, in use or in `except_for`.

        Returns the evicted versions.
        """
        state = self.state
        needed = {state.last_good, state.previous, state.pinned, *state.taught, *self._in_use, *except_for}
        removed = [version for version in self.versions() if version not in needed]
        for version in removed:
            with suppress(OSError):  # what cannot be removed is looked at again
                remove_folder(self.folder_of(version))
        return removed

    def _fetch(self, catalogue: Catalogue, folder: Path, manifest: Manifest) -> None:
        with suppress(Missing):  # whether it must be signed is said below
            key = key_of(manifest.version, SIGNATURE)
            (folder / SIGNATURE).write_bytes(catalogue.store.read(key, max_bytes=MAX_SIGNATURE_BYTES)[0])
        self._check_signature(folder)  # before megabytes are fetched
        for name, entry in manifest.files.items():
            key = key_of(manifest.version, name)
            catalogue.store.download(key, folder / name, max_bytes=entry.size_bytes)

    def _opened(self, folder: Path) -> Bundle:
        bundle = Bundle.open(folder)
        if bundle.manifest.version != folder.name:
            raise BundleError(f"{folder}: holds version {bundle.manifest.version}; pull it again")
        self._check_signature(folder)
        return bundle

    def _check_signature(self, folder: Path) -> None:
        if self._key:
            manifest, signature = _about(folder)
            if not self._is_own(manifest or b"", signature or b""):
                verify(manifest or b"", signature, self._key, origin=folder.name)

    def _is_own(self, manifest: bytes, signature: bytes) -> bool:
        try:
            own = host_public_key(self._folder)
        except BadKey:  # which whoever signs is told
            return False
        return own is not None and is_signed(manifest, signature, own)

    def _has_same(self, folder: Path, version: str) -> bool:
        """Whether the version in `folder` is cached already and intact: then it is not replaced."""
        here = self.folder_of(version)
        with suppress(BundleError, OSError):
            self.open(version)
            return _about(here) == _about(folder)
        return False

    def _put(self, folder: Path, target: Path) -> None:
        with alone_in(self._versions):  # another process may have brought the same version here, and be reading it
            if not self._has_same(folder, target.name):
                remove_folder(target)
                folder.rename(target)


def _copy(bundle: Bundle, target: Path) -> None:
    target.mkdir()
    signature = [SIGNATURE] if (bundle.path / SIGNATURE).is_file() else []
    for name in [MANIFEST, *bundle.manifest.files, *signature]:
        shutil.copyfile(bundle.path / name, target / name)


def _about(folder: Path) -> tuple[bytes | None, bytes | None]:
    return _start_of(folder / MANIFEST, MAX_MANIFEST_BYTES), _start_of(folder / SIGNATURE, MAX_SIGNATURE_BYTES)


def _check_name(manifest: Manifest, names: Collection[str] | None, *, origin: str) -> None:
    if names is not None and manifest.name not in names:
        raise BundleError(
            f"{origin}: is the model {manifest.name}, and {' or '.join(sorted(names))} serves here; name it in "
            "DANDELION_MODEL_NAMES if it is meant"
        )


def _start_of(file: Path, max_bytes: int) -> bytes | None:
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return stream.read(max_bytes)
