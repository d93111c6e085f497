"""Download photos to `raw/<class>/`: in parallel, resumable, checked against recorded hashes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

from runtime.cli.progress import progress
from runtime.host.atomic import remove_abandoned, whole_file
from runtime.names import NOT_JSON
from training.data.download import PATIENT, Downloads, FetchError, Timeouts, check_address
from training.data.listing import RECORDED, ListedPhoto, PhotoList, list_folder, list_url, read_list
from training.storage.hashing import sha256_of

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did: photos by class, and how many of all were there already."""

    photos: dict[str, int]
    resumed: int


def fetch(
    destination: Path,
    *,
    source: str | None = None,
    recorded: Path | None = None,
    workers: int = 8,
    timeouts: Timeouts = PATIENT,
) -> Fetched:
    """Bring all photos of `source` to `destination`/<class>/<name> and write the manifest beside them.

    `source` is a folder or a base URL of class folders; without one the public photos of the recorded list are taken.
    `recorded` is a list of what the source holds: for servers that do not tell, and to check a mirror. Photos that are
    there already, and are what was recorded of them, are not fetched again. Raises FetchError; what has arrived by
    then stays.
    """
    with Downloads(timeouts) as downloads:
        photos, get = _open_source(source, recorded, downloads)
        _make_folder(destination)
        remove_abandoned(destination)
        known = _known_hashes(destination)
        done: list[ListedPhoto] = []
        failures: list[str] = []
        resumed = 0
        with ThreadPoolExecutor(workers) as pool, progress("fetch", len(photos.photos)) as advance:
            jobs = [pool.submit(_bring, photo, destination, known, get) for photo in photos.photos]
            try:
                for job in as_completed(jobs):
                    try:
                        photo, was_there = job.result()
                        done.append(photo)
                        resumed += was_there
                    except FetchError as error:
                        failures.append(str(error))
                    advance(note=f"{len(failures)} failed" if failures else None)
            finally:  # whoever interrupts does not wait for the photos that have not begun
                pool.shutdown(cancel_futures=True)
    arrived = {photo.path for photo in done}
    # What failed this time keeps its record, or the next run would take an altered photo as it is.
    missed = [
        ListedPhoto(photo.path, known[photo.path])
        for photo in photos.photos
        if photo.path in known and photo.path not in arrived
    ]
    _write_manifest(destination, done + missed)
    if failures:
        shown = "\n  ".join(sorted(failures)[:5])
        raise FetchError(
            f"{len(failures)} of {len(photos.photos)} photos could not be fetched; run the command again to go on "
            f"with them:\n  {shown}"
        )
    labels = [photo.path.split("/")[0] for photo in done]
    return Fetched({label: labels.count(label) for label in sorted(set(labels))}, resumed)


Getter = Callable[[str, Path], None]


def _open_source(source: str | None, recorded: Path | None, downloads: Downloads) -> tuple[PhotoList, Getter]:
    if source is not None and "://" not in source:
        folder = Path(source)
        photos = read_list(recorded) if recorded else list_folder(folder)
        return photos, lambda path, target: _copy(folder / path, target)
    photos = read_list(recorded or RECORDED) if source is None or recorded else list_url(source, downloads)
    address = source or photos.base_url
    if address is None:
        raise FetchError(f"{recorded}: has no base_url; name where the photos are with --source")
    base_url = check_address(address).rstrip("/")
    return photos, lambda path, target: downloads.photo(f"{base_url}/{quote(path)}", target)


def _make_folder(destination: Path) -> None:
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{destination}: {error.strerror}; choose another folder") from error


def _bring(photo: ListedPhoto, destination: Path, known: dict[str, str], get: Getter) -> tuple[ListedPhoto, bool]:
    """One photo, unless it is there; returns it with its hash, and whether it was."""
    target = destination / photo.path
    expected = photo.sha256 or known.get(photo.path)
    try:
        # A photo appears under its name only when it has arrived whole: without a record it is taken as it is.
        if target.is_file() and (expected is None or sha256_of(target) == expected):
            return _describe(photo, target), True
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as part:
            get(photo.path, part)
            digest = sha256_of(part)
            if photo.sha256 is not None and digest != photo.sha256:
                raise FetchError(
                    f"{photo.path}: sha256 is {digest[:8]}…, {photo.sha256[:8]}… was recorded; the source changed"
                )
        return _describe(photo, target), False
    except OSError as error:
        raise FetchError(
            f"{error.filename or target}: {error.strerror or error}; make room or choose another folder"
        ) from error


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise FetchError(f"{source}: is not there, but the list names it") from error


def _known_hashes(destination: Path) -> dict[str, str]:
    """What an earlier run recorded of the photos that it brought."""
    file = destination / MANIFEST
    if not file.exists():
        return {}
    try:
        # Only a record, perhaps of one class so far: it need not be a source that is complete.
        record = msgspec.json.decode(file.read_bytes(), type=PhotoList)
    except (OSError, *NOT_JSON) as error:
        raise FetchError(f"{file}: is not what `fetch` wrote ({error}); delete it, or choose another folder") from error
    return {photo.path: photo.sha256 for photo in record.photos if photo.sha256 is not None}


def _write_manifest(destination: Path, photos: list[ListedPhoto]) -> None:
    photos = sorted(photos, key=lambda photo: photo.path)
    try:
        with whole_file(destination / MANIFEST) as part:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(PhotoList(photos)), indent=1) + b"\n")
    except OSError as error:
        raise FetchError(f"{destination / MANIFEST}: {error.strerror}; make room or choose another folder") from error


def _describe(photo: ListedPhoto, file: Path) -> ListedPhoto:
    return ListedPhoto(photo.path, sha256_of(file), file.stat().st_size)
