"""Class folders: which folders of a data set name a class, and the files in them and in the folders below."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runtime.names import UNKNOWN

# Of file managers, cameras, archives and network storage: their thumbnails and wastebaskets are no photos of a class.
NOT_CLASSES = frozenset(
    {"@eadir", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "lost+found", "system volume information"}
)
NOT_PHOTOS = frozenset({"thumbs.db", "desktop.ini"})
JOIN = "--"  # between the folders and the name, where `<class>/2024/a.jpg` becomes `<class>/2024--a.jpg`


def is_class(name: str) -> bool:
    """Whether a folder of this name is a class: hidden ones and those of NOT_CLASSES are not."""
    return not name.startswith(".") and name.lower() not in NOT_CLASSES


def is_photo_file(name: str) -> bool:
    """Whether a file of this name may be a photo: hidden ones and those of NOT_PHOTOS are not."""
    return not name.startswith(".") and name.lower() not in NOT_PHOTOS


def class_folders_in(folder: Path) -> list[Path]:
    """The folders in `folder` that name a class, sorted: without that of photos of other things."""
    return [child for child in subfolders(folder) if child.name != UNKNOWN]


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` that are, or are part of, a class; sorted."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and is_class(child.name))


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a class folder and of the folders in it, and broken links; a loop of links is entered once."""
    yield from _files_below(folder, frozenset())


def flat(path: str) -> str:
    """`<class>/<name>` for a file that may lie deeper."""
    label, _, rest = path.partition("/")
    return f"{label}/{rest.replace('/', JOIN)}"


def _files_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above:
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            if is_class(child.name):
                yield from _files_below(child, above | {here})
        elif is_photo_file(child.name):
            yield child
