"""Source listing: a recorded list, the files of a folder, or the index of a web server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import msgspec

from runtime.names import NOT_JSON, UNKNOWN, Sha256, alike, is_path_below, is_reserved, plain
from runtime.teaching.from_files.class_folders import files_below, flat, is_class, is_photo_file, subfolders
from training.data.download import Downloads, FetchError, Page, RefusedByServer, check_address
from training.storage.hashing import sha256_of

LIST_NAME = "photos.json"
MAX_DEPTH = 8  # of folders in a class folder on a web server
MAX_SHOWN = 100  # characters of a path in an error


class ListedPhoto(msgspec.Struct, frozen=True, omit_defaults=True):
    """One photo of a source: `<class>/<name>`, and what it must be, where that is known.

    `at` is its path at the source, where that lies deeper than in a class folder.
    """

    path: str
    sha256: Sha256 | None = None
    size_bytes: int | None = None
    at: str | None = None


class PhotoList(msgspec.Struct, frozen=True, omit_defaults=True):
    """A list of photos, and where they are: `photos.json` beside class folders on a web server has the same form.

    `source` is set in the manifest of what was fetched: the folder or URL that it came from.
    """

    photos: list[ListedPhoto]
    base_url: str | None = None
    source: str | None = None


def read_list(file: Path) -> PhotoList:
    """Read a list of photos; raises FetchError."""
    return _checked(read_other_list(file), str(file))


def read_other_list(file: Path) -> PhotoList:
    """Read a list of photos of other things, which are of no class; raises FetchError."""
    try:
        photos = msgspec.json.decode(file.read_bytes(), type=PhotoList)
        checked_paths(photos, str(file))
    except OSError as error:
        raise FetchError(f"{file}: {error.strerror}") from error
    except NOT_JSON as error:
        raise FetchError(f"{file}: is not a list of photos ({plain(error)})") from error
    return photos


def list_other_folder(folder: Path) -> PhotoList:
    """All files in `folder` and in the folders in it, as photos of other things; raises FetchError.

    A folder in it is a kind: `daisy/1.jpg` becomes `(unknown)/daisy--1.jpg`.
    """
    if not folder.is_dir():
        raise FetchError(f"{folder}: is not a folder; --other takes one that holds photos of other things")
    files = _files_of(folder)
    if not files:
        raise FetchError(f"{folder}: is empty; put photos of other things there, or fetch without them by --no-other")
    paths = {file: file.relative_to(folder).as_posix() for file in files}
    photos = [
        ListedPhoto(flat(f"{UNKNOWN}/{path}"), sha256_of(file), file.stat().st_size, path)
        for file, path in paths.items()
    ]
    checked_paths(PhotoList(photos), str(folder))
    return PhotoList(photos)


def list_folder(folder: Path) -> PhotoList:
    """All files of the class folders in `folder`, and of the folders in these; raises FetchError.

    A link that leads nowhere is refused by its name: what it stood for would be missing without a word.
    """
    if not folder.is_dir():
        raise FetchError(f"{folder}: is not a folder; --source takes a folder or a URL that holds <class>/<photo>")
    photos = [photo for child in subfolders(folder) for photo in _photos_of_class(child, folder)]
    return _checked(PhotoList(photos), str(folder))


def _photos_of_class(child: Path, folder: Path) -> list[ListedPhoto]:
    files = _files_of(child)
    if not files:
        raise FetchError(f"{child}: is empty; put the photos of that class there or remove the folder")
    paths = {file: file.relative_to(folder).as_posix() for file in files}
    return [
        ListedPhoto(flat(path), sha256_of(file), file.stat().st_size, path if flat(path) != path else None)
        for file, path in paths.items()
    ]


def _files_of(folder: Path) -> list[Path]:
    files = list(files_below(folder))
    if broken := [file for file in files if not file.exists()]:
        raise FetchError(f"{broken[0]}: is a link that leads nowhere; mend or remove it")
    return [file for file in files if file.is_file()]


def list_url(base_url: str, downloads: Downloads) -> PhotoList:
    """What a web server says it has under `base_url`: its `photos.json`, else its HTML listings of folders.

    Raises FetchError where it says nothing.
    """
    base_url = check_address(base_url).rstrip("/") + "/"
    recorded = _page(downloads, urljoin(base_url, LIST_NAME), may_be_missing=True)
    if recorded is not None:
        try:
            return _checked(msgspec.json.decode(recorded.content, type=PhotoList), base_url + LIST_NAME)
        except NOT_JSON as error:
            raise FetchError(f"{base_url}{LIST_NAME}: is not a list of photos ({plain(error)})") from error
    photos = [photo for name in _folders(_links(downloads, base_url)) for photo in _listed(downloads, base_url, name)]
    return _checked(PhotoList(photos), base_url)


def _listed(downloads: Downloads, base_url: str, name: str) -> list[ListedPhoto]:
    paths = list(_files_under(downloads, base_url, name, MAX_DEPTH))
    if not paths:
        raise FetchError(f"{base_url}{name}: lists no files; add photos or remove the folder")
    return [ListedPhoto(flat(path), at=path if flat(path) != path else None) for path in paths]


def _files_under(downloads: Downloads, base_url: str, folder: str, depth: int) -> Iterator[str]:
    """The paths of the files that a server lists in `folder` and below it; raises FetchError beyond `depth` folders."""
    if not depth:
        raise FetchError(f"{base_url}{folder}: lies deeper than {MAX_DEPTH} folders; move it up")
    names = _links(downloads, urljoin(base_url, folder))
    yield from (unquote(folder + name) for name in names if is_photo_file(unquote(name)) and not name.endswith("/"))
    for name in _folders(names):
        yield from _files_under(downloads, base_url, folder + name, depth - 1)


def _folders(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith("/") and is_class(unquote(name[:-1]))]


def checked_paths(photos: PhotoList, origin: str) -> None:
    """Refuse paths that are not `<class>/<name>`, or lead elsewhere: raises FetchError."""
    for photo in photos.photos:
        if photo.path.count("/") != 1 or not all(is_path_below(path) for path in (photo.path, photo.at or photo.path)):
            raise FetchError(f"{origin}: {photo.path[:MAX_SHOWN]!r} is not of the form <class>/<name>; rename it")


def _checked(photos: PhotoList, origin: str) -> PhotoList:
    """Refuse bad paths, paths that stand there twice, and fewer classes than a classifier needs."""
    checked_paths(photos, origin)
    paths = [photo.path for photo in photos.photos]
    if twice := [path for path, count in Counter(paths).items() if count > 1]:
        raise FetchError(f"{origin}: {twice[0]!r} stands there twice; remove one")
    labels = sorted({path.split("/")[0] for path in paths} - {UNKNOWN})
    if reserved := next(filter(is_reserved, labels), None):
        raise FetchError(
            f"{origin}: the folder {reserved!r} must be spelt {UNKNOWN!r}, for photos of none of the classes"
        )
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no class folders with photos"
        raise FetchError(f"{origin}: {found}; a classifier needs at least two folders <class>/ with photos")
    if pair := alike(labels):
        raise FetchError(
            f"{origin}: the class folders {pair} differ only in case or in how accents are written; make them one"
        )
    return photos


def _page(downloads: Downloads, url: str, *, may_be_missing: bool = False) -> Page | None:
    try:
        return downloads.page(url)
    except RefusedByServer as error:
        if error.status == HTTPStatus.NOT_FOUND and may_be_missing:
            return None
        raise FetchError(
            f"{url}: the server answered {error.status}; it must list its folders or hold a {LIST_NAME}, "
            "or name a list with --list"
        ) from error


def _links(downloads: Downloads, url: str) -> list[str]:
    """The names that the listing at `url` links to; links to anywhere but directly below it are ignored."""
    page = _page(downloads, url)
    parser = _Links()
    parser.feed(page.content.decode(errors="replace") if page is not None else "")
    base = urlsplit(page.url if page is not None else url)
    return sorted({name for link in parser.found if (name := _name_below(base, link))})


def _name_below(base: SplitResult, link: str) -> str | None:
    try:
        found = urlsplit(urljoin(base.geturl(), link))
    except ValueError:  # no address at all
        return None
    name = found.path.removeprefix(base.path)
    if (found.scheme, found.netloc) != (base.scheme, base.netloc) or not found.path.startswith(base.path):
        return None
    if found.query or not name or name.startswith(".") or "/" in name.rstrip("/"):
        return None
    return name


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)
