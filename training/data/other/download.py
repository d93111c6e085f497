"""Download of the public photos of other things: all of them or none, resumable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Event

from runtime.cli.progress import progress
from runtime.host.atomic import whole_file
from training.data.download import Downloads, FetchError
from training.data.listing import ListedPhoto
from training.data.other.sources import OtherPhotos
from training.data.placement import place
from training.storage.hashing import sha256_of

ARRIVED = ".other"  # folder below the destination: what has arrived, hidden from whoever looks for classes


class _StoppedError(Exception):
    """Another photo could not be had, so none is asked for any more."""


def bring_others(others: OtherPhotos, destination: Path, downloads: Downloads, *, workers: int) -> int:
    """Bring all photos of `others` to `destination`; returns how many had arrived before.

    Raises FetchError for the first that cannot be had, and brings none then: a few kinds of other things would teach
    something else. What has arrived by then is kept for another run.
    """
    arrived = destination / ARRIVED
    failed = Event()
    try:
        arrived.mkdir(exist_ok=True)
        with ThreadPoolExecutor(workers) as pool, progress("fetch other things", len(others.photos)) as advance:
            jobs = [pool.submit(_arrive, photo, others, arrived, downloads, failed) for photo in others.photos]
            try:
                resumed = 0
                for job in as_completed(jobs):
                    with suppress(_StoppedError):  # the one that failed comes, too
                        resumed += job.result()
                        advance()
            finally:
                failed.set()
                pool.shutdown(cancel_futures=True)
        for photo in others.photos:
            _lay(arrived / _name(photo), destination / photo.path, photo)
    except OSError as error:
        raise FetchError(
            f"{error.filename or destination}: {error.strerror or error}; make room or choose another folder"
        ) from error
    return resumed


def _arrive(photo: ListedPhoto, others: OtherPhotos, arrived: Path, downloads: Downloads, failed: Event) -> bool:
    """Have one photo among the arrived ones; returns whether it was there."""
    file = arrived / _name(photo)
    if _is(file, photo):
        return True
    if failed.is_set():
        raise _StoppedError
    try:
        _download(photo, others.addresses[photo.path], file, downloads)
    except FetchError:
        failed.set()
        raise
    return False


def _download(photo: ListedPhoto, url: str, file: Path, downloads: Downloads) -> None:
    with whole_file(file) as part:
        downloads.photo(url, part)
        if not _is(part, photo):
            raise FetchError(f"{url}: is not the photo that was recorded; the source changed")


def _lay(file: Path, target: Path, photo: ListedPhoto) -> None:
    if not _is(target, photo):
        place(file, target)


def _is(file: Path, photo: ListedPhoto) -> bool:
    return file.is_file() and sha256_of(file) == photo.sha256


def _name(photo: ListedPhoto) -> str:
    return photo.path.partition("/")[2]
