"""Sources of photos of other things: the recorded public ones, or a folder; without those that may show a class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtime.teaching.subjects import may_show
from training.data.listing import ListedPhoto, PhotoList, list_other_folder, read_other_list
from training.data.other.kinds import subject_of
from training.recipe import PUBLIC_OTHER

PUBLIC_LISTS = tuple(Path(__file__).with_name(name) for name in ("flowers.json", "things.json"))


@dataclass(frozen=True)
class OtherPhotos:
    """Photos of other things, each with its address, a file or a URL; and what was left out for the labels' sake."""

    photos: list[ListedPhoto]
    addresses: dict[str, str]
    left_out: list[str]


NONE = OtherPhotos([], {}, [])


def other_photos(source: str, labels: Iterable[str]) -> OtherPhotos:
    """The photos of PUBLIC_OTHER, or of the folder `source`, that do not show one of `labels` by their names.

    Raises FetchError.
    """
    lists = map(read_other_list, PUBLIC_LISTS) if source == PUBLIC_OTHER else [_of_folder(Path(source))]
    addresses: dict[str, str] = {}
    photos, left_out = [], []
    labels = list(labels)
    for found in lists:
        for photo in found.photos:
            subject = subject_of(photo.path)
            if subject and may_show(subject, labels):
                left_out.append(subject)
                continue
            photos.append(photo)
            addresses[photo.path] = f"{found.base_url}/{photo.at or photo.path}"
    return OtherPhotos(photos, addresses, sorted(set(left_out)))


def _of_folder(folder: Path) -> PhotoList:
    return msgspec.structs.replace(list_other_folder(folder), base_url=str(folder.resolve()))
