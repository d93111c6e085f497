"""Record of the files that `fetch` brought: what to reuse, what to remove, what is a stranger's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from runtime.host.atomic import whole_file
from runtime.names import NOT_JSON
from runtime.teaching.from_files.class_folders import is_photo_file, subfolders
from training.data.download import FetchError
from training.data.listing import ListedPhoto, PhotoList, checked_paths
from training.storage.hashing import sha256_of

MANIFEST = "manifest.json"


def read_manifest(destination: Path) -> PhotoList:
    """What earlier runs brought or may have brought; nothing if there was none. Raises FetchError."""
    file = destination / MANIFEST
    if not file.exists():
        return PhotoList([])
    try:
        # Only a record, perhaps of one class so far: it need not be a source that is complete.
        record = msgspec.json.decode(file.read_bytes(), type=PhotoList)
        checked_paths(record, str(file))
    except (OSError, FetchError, *NOT_JSON) as error:
        raise FetchError(f"{file}: is not what `fetch` wrote ({error}); delete it, or choose another folder") from error
    return record


def known_hashes(earlier: PhotoList) -> dict[str, str]:
    """The hashes of what earlier runs brought, by path."""
    return {photo.path: photo.sha256 for photo in earlier.photos if photo.sha256 is not None}


def remove_other_source(destination: Path, earlier: PhotoList, photos: PhotoList) -> tuple[PhotoList, int]:
    """What is left of `earlier` for the source of `photos`: another's photos are removed unless they are the same.

    Also returns how many were removed. Without that, a photo of the same name would be taken for the new one.
    Raises FetchError.
    """
    if earlier.source == photos.source:
        return earlier, 0
    expected = {photo.path: photo.sha256 for photo in photos.photos}
    same = [photo for photo in earlier.photos if photo.sha256 and expected.get(photo.path) == photo.sha256]
    removed = remove_others(destination, earlier, PhotoList(same))
    return PhotoList(same, source=photos.source), removed


def planned(earlier: PhotoList, photos: PhotoList, known: dict[str, str]) -> PhotoList:
    """A record for while a run goes on: all files that may be there, with the hashes in `known`."""
    paths = {photo.path: ListedPhoto(photo.path, known.get(photo.path)) for photo in (*earlier.photos, *photos.photos)}
    return PhotoList(list(paths.values()), source=photos.source)


def refuse_strangers(destination: Path, earlier: PhotoList, photos: PhotoList) -> None:
    """Raise FetchError where `destination` has files in class folders that neither list names."""
    ours = {photo.path for photo in (*earlier.photos, *photos.photos)}
    strangers = [path for path in _present(destination) if path not in ours]
    if strangers:
        raise FetchError(
            f"{destination}: holds {len(strangers)} files that the source does not have and that no `fetch` brought, "
            f"{strangers[0]} for one; move them into the source, or choose another folder with --out"
        )


def remove_others(destination: Path, earlier: PhotoList, photos: PhotoList) -> int:
    """Remove what earlier runs brought and the source has no more, and class folders left empty; returns how many."""
    gone = {photo.path for photo in earlier.photos} - {photo.path for photo in photos.photos}
    there = [destination / path for path in sorted(gone) if (destination / path).is_file()]
    try:
        for file in there:
            file.unlink()
        for folder in {(destination / path).parent for path in gone}:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise FetchError(f"{error.filename}: {error.strerror}; remove it by hand, then fetch again") from error
    return len(there)


def record(destination: Path, files: Iterable[Path]) -> None:
    """Count `files` below `destination` among what `fetch` brought: the next one removes them. Raises FetchError."""
    earlier = read_manifest(destination)
    known = {photo.path: photo for photo in earlier.photos}
    for file in files:
        path = file.relative_to(destination).as_posix()
        known[path] = ListedPhoto(path, sha256_of(file), file.stat().st_size)
    write_manifest(destination, msgspec.structs.replace(earlier, photos=list(known.values())))


def write_manifest(destination: Path, photos: PhotoList) -> None:
    """Write the record as a whole; raises FetchError."""
    record = msgspec.structs.replace(photos, photos=sorted(photos.photos, key=lambda photo: photo.path))
    try:
        with whole_file(destination / MANIFEST) as part:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    except OSError as error:
        raise FetchError(f"{destination / MANIFEST}: {error.strerror}; make room or choose another folder") from error


def _present(destination: Path) -> list[str]:
    return [
        f"{folder.name}/{file.name}"
        for folder in subfolders(destination)
        for file in sorted(folder.iterdir())
        if file.is_file() and is_photo_file(file.name)
    ]
