"""The disk of the cache, full or read-only: an error with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import Refusal


class DiskRefused(Refusal):
    """The disk of the cache is full or read-only."""


@contextmanager
def on_disk() -> Iterator[None]:
    """Raise DiskRefused for an OSError of the block."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def disk_error(error: OSError) -> DiskRefused:
    """The error of a disk that is full or read-only, with its remedy."""
    return DiskRefused(
        f"{error.filename or 'the cache'}: {error.strerror}; make room for DANDELION_CACHE, or make it writable"
    )


def is_writable(folder: Path) -> bool:
    """Whether files can be put into a folder, which need not be there yet; nothing is written."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
