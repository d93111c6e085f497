"""Atomic bundle writer: a version folder appears when it is whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.bundle.manifest import MANIFEST, FileEntry, Manifest, describe_file, to_json
from runtime.errors import Refusal
from runtime.host.atomic import temporary_folder


class WriteError(Refusal):
    """The bundle could not be written; nothing is left of the attempt."""


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that becomes `target` when the block ends well, and disappears when it does not.

    Raises WriteError where `target` is there already or the disk refuses.
    """
    if target.exists():
        raise WriteError(f"{target}: is there already, and a version never changes; choose another with --version")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target.parent) as scratch:
            folder = scratch / target.name
            folder.mkdir()
            yield folder
            _flush(folder)
            folder.chmod(0o755)
            folder.rename(target)
    except OSError as error:
        remedy = "make room" if error.errno == errno.ENOSPC else "choose another folder with --out"
        raise WriteError(f"{target}: {error.strerror or error}; {remedy} and run the command again") from error


def describe_files(folder: Path) -> dict[str, FileEntry]:
    """Every file of a bundle but its manifest, as it is on disk."""
    return {path.name: describe_file(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, for people too: indented, one line at the end."""
    (folder / MANIFEST).write_bytes(to_json(manifest))


def _flush(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
