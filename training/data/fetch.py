"""Mirror a source of photos in `raw/<class>/`: in parallel, resumable, checked against recorded hashes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import msgspec

from runtime.cli.progress import progress
from runtime.host.atomic import remove_abandoned, whole_file
from runtime.names import UNKNOWN
from runtime.teaching.example_sets.public import RECORDED
from training.data.download import PATIENT, Downloads, FetchError, Timeouts, check_address
from training.data.fetched_files import (
    known_hashes,
    planned,
    read_manifest,
    refuse_strangers,
    remove_other_source,
    remove_others,
    write_manifest,
)
from training.data.listing import ListedPhoto, PhotoList, list_folder, list_url, read_list
from training.data.other.download import bring_others
from training.data.other.sources import NONE, OtherPhotos, other_photos
from training.recipe import PUBLIC_OTHER
from training.storage.hashing import sha256_of

Getter = Callable[[str, Path], None]


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did: photos by class, how many of all were there already, and how many others were removed.

    `other` counts photos of other things, `left_out` names the kinds of them that may show a class, and `without_other`
    says why there are none where some were asked for.
    """

    photos: dict[str, int]
    resumed: int
    removed: int = 0
    other: int = 0
    left_out: list[str] = field(default_factory=list)
    without_other: str | None = None


def fetch(
    destination: Path,
    *,
    source: str | None = None,
    recorded: Path | None = None,
    other: str | None = None,
    workers: int = 8,
    timeouts: Timeouts = PATIENT,
) -> Fetched:
    """Bring all photos of `source` to `destination`/<class>/<name> and write the manifest beside them.

    `source` is a folder or a base URL of class folders; without one the public photos of the recorded list are taken.
    `recorded` is a list of what the source holds: for servers that do not tell, and to check a mirror. `other` is where
    photos of other things are, a folder or PUBLIC_OTHER; they lie in `destination`/(unknown), and where the public ones
    cannot be had, it goes on without. Photos that are there already, and are what was recorded of them, are not fetched
    again. In the end `destination` holds what the source has and nothing else: what earlier runs brought and it has no
    more is removed.
    Raises FetchError; what has arrived by then stays. Files that no run brought are refused, not removed.
    """
    with Downloads(timeouts) as downloads:
        photos, get = _open_source(source, recorded, downloads)
        others = _open_others(other, photos)
        downloaded = others.photos if other == PUBLIC_OTHER else []
        if others.photos and not downloaded:
            photos, get = _joined(photos, get, others)
        _make_folder(destination)
        remove_abandoned(destination)
        earlier = read_manifest(destination)
        everything = msgspec.structs.replace(photos, photos=[*photos.photos, *downloaded])
        refuse_strangers(destination, earlier, everything)
        earlier, removed = remove_other_source(destination, earlier, everything)
        known = known_hashes(earlier)
        write_manifest(destination, planned(earlier, everything, known))
        done, resumed, failures = _bring_all(photos, destination, known, get, workers)
        if failures:
            # What failed keeps its record, or the next run would take an altered photo as it is.
            arrived = {photo.path: photo.sha256 for photo in done if photo.sha256}
            write_manifest(destination, planned(earlier, everything, known | arrived))
            raise _incomplete(failures, len(photos.photos))
        without_other = None
        if downloaded:
            try:
                resumed += bring_others(others, destination, downloads, workers=workers)
                done += downloaded
            except FetchError as error:
                without_other = str(error)
    removed += remove_others(destination, earlier, PhotoList(done))
    write_manifest(destination, PhotoList(done, source=photos.source))
    counts = Counter(photo.path.split("/")[0] for photo in done)
    other_count = counts.pop(UNKNOWN, 0)
    return Fetched(dict(sorted(counts.items())), resumed, removed, other_count, others.left_out, without_other)


def _bring_all(
    photos: PhotoList, destination: Path, known: dict[str, str], get: Getter, workers: int
) -> tuple[list[ListedPhoto], int, list[str]]:
    """The photos that are there now, how many of them were before, and what failed."""
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
    return done, resumed, failures


def _incomplete(failures: list[str], count: int) -> FetchError:
    shown = "\n  ".join(sorted(failures)[:5])
    return FetchError(
        f"{len(failures)} of {count} photos could not be fetched; run the command again to go on with them:\n  {shown}"
    )


def _open_others(source: str | None, photos: PhotoList) -> OtherPhotos:
    """The photos of other things that `photos` do not hold already."""
    if source is None:
        return NONE
    theirs = {photo.path for photo in photos.photos}
    others = other_photos(source, {path.split("/")[0] for path in theirs} - {UNKNOWN})
    return replace(others, photos=[photo for photo in others.photos if photo.path not in theirs])


def _joined(photos: PhotoList, get: Getter, others: OtherPhotos) -> tuple[PhotoList, Getter]:
    """A source, and beside it the `others` in a folder."""
    added = [msgspec.structs.replace(photo, at=None) for photo in others.photos]
    files = {photo.path: Path(others.addresses[photo.path]) for photo in added}

    def get_either(path: str, target: Path) -> None:
        if path in files:
            _copy(files[path], target)
        else:
            get(path, target)

    return msgspec.structs.replace(photos, photos=[*photos.photos, *added]), get_either


def _open_source(source: str | None, recorded: Path | None, downloads: Downloads) -> tuple[PhotoList, Getter]:
    """The photos of a source, with its name as their `source`, and what brings one of them."""
    if source is not None and "://" not in source:
        folder = Path(source)
        photos = read_list(recorded) if recorded else list_folder(folder)
        return _from(str(folder.resolve()), photos), lambda path, target: _copy(folder / path, target)
    photos = read_list(recorded or RECORDED) if source is None or recorded else list_url(source, downloads)
    address = source or photos.base_url
    if address is None:
        raise FetchError(f"{recorded}: has no base_url; name where the photos are with --source")
    base_url = check_address(address).rstrip("/")
    return _from(base_url, photos), lambda path, target: downloads.photo(f"{base_url}/{quote(path)}", target)


def _from(source: str, photos: PhotoList) -> PhotoList:
    return msgspec.structs.replace(photos, source=source)


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
            get(photo.at or photo.path, part)
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


def _describe(photo: ListedPhoto, file: Path) -> ListedPhoto:
    return ListedPhoto(photo.path, sha256_of(file), file.stat().st_size, photo.at)
