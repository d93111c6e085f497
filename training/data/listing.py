"""Source listing: a recorded list, the files of a folder, or the index of a web server."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import msgspec

from runtime.names import NOT_JSON, Sha256, is_path_below, plain
from training.data.download import Downloads, FetchError, Page, RefusedByServer, check_address
from training.storage.hashing import sha256_of

RECORDED = Path(__file__).with_name("greenr.json")
LIST_NAME = "photos.json"
MAX_SHOWN = 100  # characters of a path in an error


class ListedPhoto(msgspec.Struct, frozen=True, omit_defaults=True):
    """One photo of a source: `<class>/<name>`, and what it must be, where that is known."""

    path: str
    sha256: Sha256 | None = None
    size_bytes: int | None = None


class PhotoList(msgspec.Struct, frozen=True, omit_defaults=True):
    """A list of photos, and where they are: `photos.json` beside class folders on a web server has the same form."""

    photos: list[ListedPhoto]
    base_url: str | None = None


def read_list(file: Path) -> PhotoList:
    """Read a list of photos; raises FetchError."""
    try:
        return _checked(msgspec.json.decode(file.read_bytes(), type=PhotoList), str(file))
    except OSError as error:
        raise FetchError(f"{file}: {error.strerror}") from error
    except NOT_JSON as error:
        raise FetchError(f"{file}: is not a list of photos ({plain(error)})") from error


def list_folder(folder: Path) -> PhotoList:
    """All files of the class folders in `folder`; raises FetchError."""
    if not folder.is_dir():
        raise FetchError(f"{folder}: is not a folder; --source takes a folder or a URL that holds <class>/<photo>")
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    for child in children:
        if not any(file.is_file() for file in child.iterdir()):
            raise FetchError(f"{child}: is empty; put the photos of that class there or remove the folder")
    files = [file for child in children for file in sorted(child.iterdir())]
    photos = [
        ListedPhoto(file.relative_to(folder).as_posix(), sha256_of(file), file.stat().st_size)
        for file in files
        if file.is_file() and not file.name.startswith(".")
    ]
    return _checked(PhotoList(photos), str(folder))


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
    classes = [name for name in _links(downloads, base_url) if name.endswith("/")]
    names = {
        name: [file for file in _links(downloads, urljoin(base_url, name)) if not file.endswith("/")]
        for name in classes
    }
    for name, files in names.items():
        if not files:
            raise FetchError(f"{base_url}{name}: lists no files; add photos or remove the folder")
    photos = [ListedPhoto(unquote(name) + unquote(file)) for name, files in names.items() for file in files]
    return _checked(PhotoList(photos), base_url)


def _checked(photos: PhotoList, origin: str) -> PhotoList:
    """Refuse paths that are not `<class>/<name>`, and fewer classes than a classifier needs."""
    for photo in photos.photos:
        if photo.path.count("/") != 1 or not is_path_below(photo.path):
            raise FetchError(f"{origin}: {photo.path[:MAX_SHOWN]!r} is not of the form <class>/<name>; rename it")
    paths = [photo.path for photo in photos.photos]
    if twice := [path for path, count in Counter(paths).items() if count > 1]:
        raise FetchError(f"{origin}: {twice[0]!r} stands there twice; remove one")
    labels = sorted({path.split("/")[0] for path in paths})
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no class folders with photos"
        raise FetchError(f"{origin}: {found}; a classifier needs at least two folders <class>/ with photos")
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
