"""Photos from their source to `raw/<class>/`: in parallel, resumable, each checked against what was recorded of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from training.listing import RECORDED, FetchError, ListedPhoto, PhotoList, list_folder, list_url, read_list, sha256_of
from training.progress import progress

MANIFEST = "manifest.json"
LARGEST_BYTES = 50 * 2**20
ATTEMPTS = 4
FIRST_PAUSE_S = 0.5  # doubles with every further attempt


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for one photo altogether."""

    connect_s: float = 10.0
    read_s: float = 20.0
    photo_s: float = 120.0


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did: photos by class, and how many of all were there already."""

    photos: dict[str, int]
    resumed: int


class _TransientError(Exception):
    """Worth another attempt."""


def fetch(
    destination: Path,
    *,
    source: str | None = None,
    recorded: Path | None = None,
    workers: int = 8,
    timeouts: Timeouts = Timeouts(),
) -> Fetched:
    """Bring all photos of `source` to `destination`/<class>/<name> and write the manifest beside them.

    `source` is a folder or a base URL of class folders; without one the public photos of the recorded list are taken.
    `recorded` is a list of what a URL holds, for servers that do not tell. Photos that are there already, and are
    what was recorded of them, are not fetched again. Raises FetchError; what has arrived by then stays.
    """
    timeout = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        photos, get = _open_source(source, recorded, client, timeouts)
        known = _known_hashes(destination)
        done: list[ListedPhoto] = []
        failures: list[str] = []
        resumed = 0
        with ThreadPoolExecutor(workers) as pool, progress("fetch", len(photos.photos)) as advance:
            jobs = [pool.submit(_bring, photo, destination, known, get) for photo in photos.photos]
            for job in as_completed(jobs):
                try:
                    photo, was_there = job.result()
                    done.append(photo)
                    resumed += was_there
                except FetchError as error:
                    failures.append(str(error))
                advance(note=f"{len(failures)} failed" if failures else None)
    _write_manifest(destination, done)
    if failures:
        shown = "\n  ".join(sorted(failures)[:5])
        raise FetchError(
            f"{len(failures)} of {len(photos.photos)} photos could not be fetched; run the command again to go on "
            f"with them:\n  {shown}"
        )
    labels = [photo.path.split("/")[0] for photo in done]
    return Fetched({label: labels.count(label) for label in sorted(set(labels))}, resumed)


Getter = Callable[[str, Path], None]


def _open_source(
    source: str | None, recorded: Path | None, client: httpx.Client, timeouts: Timeouts
) -> tuple[PhotoList, Getter]:
    if source is not None and "://" not in source:
        folder = Path(source)
        return list_folder(folder), lambda path, target: _copy(folder / path, target)
    photos = read_list(recorded or RECORDED) if source is None or recorded else list_url(source, client)
    base_url = source or photos.base_url
    if base_url is None:
        raise FetchError(f"{recorded}: has no base_url; name where the photos are with --source")
    return photos, lambda path, target: _download(client, f"{base_url.rstrip('/')}/{path}", target, timeouts)


def _bring(photo: ListedPhoto, destination: Path, known: dict[str, str], get: Getter) -> tuple[ListedPhoto, bool]:
    """One photo, unless it is there; returns it with its hash, and whether it was."""
    target = destination / photo.path
    expected = photo.sha256 or known.get(photo.path)
    # A photo appears under its name only when it has arrived whole: without a record it is taken as it is.
    if target.is_file() and (expected is None or sha256_of(target) == expected):
        return _describe(photo, target), True
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    try:
        get(photo.path, partial)
        digest = sha256_of(partial)
        if photo.sha256 is not None and digest != photo.sha256:
            raise FetchError(
                f"{photo.path}: sha256 is {digest[:8]}…, {photo.sha256[:8]}… was recorded; the source changed"
            )
        partial.replace(target)
    except OSError as error:
        raise FetchError(f"{target}: {error.strerror or error}; make room or choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)
    return _describe(photo, target), False


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _download(client: httpx.Client, url: str, target: Path, timeouts: Timeouts) -> None:
    for attempt in range(ATTEMPTS):
        try:
            return _download_once(client, url, target, timeouts.photo_s)
        except (_TransientError, httpx.TransportError) as error:
            if attempt == ATTEMPTS - 1:
                reason = str(error) or type(error).__name__
                raise FetchError(f"{url}: {reason}, {ATTEMPTS} times; check the network") from error
            time.sleep(FIRST_PAUSE_S * 2**attempt)
    return None


def _download_once(client: httpx.Client, url: str, target: Path, photo_s: float) -> None:
    deadline = time.monotonic() + photo_s
    with client.stream("GET", url) as answer:
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _TransientError(f"the server answered {answer.status_code}")
        if answer.is_error:
            raise FetchError(f"{url}: the server answered {answer.status_code}; check the address")
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise FetchError(f"{url}: is a web page, not a photo; a login or error page stands in its place")
        size = 0
        with target.open("wb") as file:
            for piece in answer.iter_bytes():
                size += file.write(piece)
                if size > LARGEST_BYTES:
                    raise FetchError(f"{url}: is larger than {LARGEST_BYTES // 2**20} MiB; that is no photo")
                if time.monotonic() > deadline:
                    raise FetchError(f"{url}: did not arrive within {photo_s:g} s; the server is too slow")


def _known_hashes(destination: Path) -> dict[str, str]:
    """What an earlier run recorded of the photos that it brought."""
    file = destination / MANIFEST
    if not file.exists():
        return {}
    return {photo.path: photo.sha256 for photo in read_list(file).photos if photo.sha256 is not None}


def _write_manifest(destination: Path, photos: list[ListedPhoto]) -> None:
    destination.mkdir(parents=True, exist_ok=True)
    photos = sorted(photos, key=lambda photo: photo.path)
    partial = destination / f".{MANIFEST}.part"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(PhotoList(photos)), indent=1) + b"\n")
    partial.replace(destination / MANIFEST)


def _describe(photo: ListedPhoto, file: Path) -> ListedPhoto:
    return ListedPhoto(photo.path, sha256_of(file), file.stat().st_size)
