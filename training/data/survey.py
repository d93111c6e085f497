"""Survey of class folders: which photos can be used, which cannot and why, and which show one picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.cli.progress import progress
from runtime.image import ImageError, ImageSpec, decode_photo, inspect
from runtime.names import UNKNOWN
from runtime.teaching.from_files.class_folders import class_folders_in, files_below, is_photo_file, subfolders
from training.data.dataset import LeftOut
from training.data.duplicates import Thumbnail, find_matches, group_numbers, thumbnail_of

SHORTEST_SIDE = 32  # px; anything smaller is an icon
_LOOK = ImageSpec(height=256, width=256)


@dataclass(frozen=True)
class SurveyedPhoto:
    """One photo that decoded to its end; `path` is below the surveyed folder, and begins with the label."""

    path: str
    label: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    thumbnail: Thumbnail


@dataclass(frozen=True)
class Pair:
    """Two photos that show one picture; `how` says what was done to make one of the other."""

    one: SurveyedPhoto
    other: SurveyedPhoto
    how: str

    @property
    def across(self) -> bool:
        """Whether they stand under two classes."""
        return self.one.label != self.other.label

    @property
    def with_other_things(self) -> bool:
        """Whether one of them is of other things."""
        return UNKNOWN in (self.one.label, self.other.label)


@dataclass(frozen=True)
class Survey:
    """What the class folders in `folder` hold.

    `photos` can be trained on, with a number for each group of near-duplicates in `groups`; `pairs` are these.
    `contradictions` are pairs of the same picture under two classes: nobody can say which is right, so neither is among
    the photos. They are in `left_out`, as is everything else that cannot be used.
    """

    folder: Path
    labels: list[str]
    photos: list[SurveyedPhoto]
    left_out: list[LeftOut]
    groups: list[int]
    pairs: list[Pair]
    contradictions: list[Pair]

    @property
    def others(self) -> list[SurveyedPhoto]:
        """The photos of other things."""
        return [photo for photo in self.photos if photo.label == UNKNOWN]

    def of_classes(self) -> Survey:
        """The same without the photos of other things; what is left of them are pairs with a photo of a class."""
        kept = [row for row, photo in enumerate(self.photos) if photo.label != UNKNOWN]
        return replace(
            self,
            photos=[self.photos[row] for row in kept],
            groups=renumbered([self.groups[row] for row in kept]),
            pairs=[pair for pair in self.pairs if pair.across or pair.one.label != UNKNOWN],
            left_out=[left for left in self.left_out if left.path.split("/")[0] != UNKNOWN],
        )


def survey(folder: Path, *, deep: bool = False) -> Survey:
    """Look at every photo of the class folders in `folder`, and compare each with all others.

    Folders inside the class folders are named among what is left out, or, if `deep`, their photos are taken.
    """
    labels = [child.name for child in class_folders_in(folder)]
    folders = subfolders(folder)
    left_out: list[LeftOut] = []
    if deep:
        files = [file for child in folders for file in files_below(child)]
    else:
        files = [file for child in folders for file in _files(child)]
        left_out += [left for child in folders for left in _folders_left_out(child, folder)]
    seen: list[SurveyedPhoto] = []
    with ThreadPoolExecutor() as pool, progress("verify", len(files)) as advance:
        for result in pool.map(lambda file: _look_at(file, folder), files):
            (seen if isinstance(result, SurveyedPhoto) else left_out).append(result)  # type: ignore[arg-type]
            advance()
    seen, contradictions = _without_copies(seen, left_out)
    return _without_contradictions(Survey(folder, labels, seen, left_out, [], [], contradictions))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_photo_file(file.name) and not file.is_dir())


def _folders_left_out(folder: Path, raw: Path) -> list[LeftOut]:
    """The folders inside a class folder, with the number of files in each."""
    counts = {child: sum(1 for _ in files_below(child)) for child in subfolders(folder)}
    return [
        LeftOut(child.relative_to(raw).as_posix(), f"a folder with {count} files; `training fetch --source` takes them")
        for child, count in counts.items()
    ]


def _look_at(file: Path, raw: Path) -> SurveyedPhoto | LeftOut:
    path = file.relative_to(raw).as_posix()
    readable = path.encode(errors="replace").decode()
    if readable != path:
        return LeftOut(readable, "the name is not UTF-8, which a manifest could not hold; rename the file")
    try:
        data = file.read_bytes()
        header = inspect(data)
        width, height = header.width, header.height
        pixels, damaged = decode_photo(data, _LOOK)
    except (ImageError, OSError) as error:
        return LeftOut(path, str(error))
    if damaged:
        return LeftOut(path, "damaged: pieces of the photo are missing; export it anew or take another copy")
    if min(width, height) < SHORTEST_SIDE:
        return LeftOut(path, f"tiny: {width} x {height} px, the shorter side must be at least {SHORTEST_SIDE}")
    thumbnail = thumbnail_of(pixels, width, height)
    digest = hashlib.sha256(data).hexdigest()
    return SurveyedPhoto(path, path.split("/")[0], digest, len(data), width, height, thumbnail)


def _without_copies(seen: Sequence[SurveyedPhoto], left_out: list[LeftOut]) -> tuple[list[SurveyedPhoto], list[Pair]]:
    """One of each set of identical files; none where the copies stand under different classes."""
    copies: dict[str, list[SurveyedPhoto]] = defaultdict(list)
    for photo in seen:
        copies[photo.sha256].append(photo)
    kept, contradictions = [], []
    for same in copies.values():
        first, *others = _own(same, left_out)
        labels = sorted({photo.label for photo in (first, *others)})
        if len(labels) > 1:
            reason = f"the same file stands under {' and '.join(labels)}; nobody can say which is right"
            left_out.extend(LeftOut(photo.path, reason) for photo in (first, *others))
            contradictions += [Pair(first, other, "the same file") for other in others if other.label != first.label]
        else:
            kept.append(first)
            left_out.extend(LeftOut(photo.path, f"the same file as {first.path}") for photo in others)
    return kept, contradictions


def _own(copies: Sequence[SurveyedPhoto], left_out: list[LeftOut]) -> Sequence[SurveyedPhoto]:
    """The copies of one file; where some are of a class, without those of other things, which are left out."""
    own = [photo for photo in copies if photo.label != UNKNOWN]
    if own:
        reason = f"the same file as {own[0].path}, which is of a class"
        left_out.extend(LeftOut(photo.path, reason) for photo in copies if photo.label == UNKNOWN)
    return own or copies


def _without_contradictions(found: Survey) -> Survey:
    """The survey with its near-duplicates, and without the photos whose whole picture stands under another class."""
    photos = found.photos
    matches = find_matches([photo.thumbnail for photo in photos])
    pairs = [(Pair(photos[match.whole], photos[match.part], match.how), match.same) for match in matches]
    across = [pair for pair, same in pairs if same and pair.across]
    contradictions = [pair for pair in across if not pair.with_other_things]
    shown = [pair for pair in across if pair.with_other_things]
    doubtful = {photo.path for pair in contradictions for photo in (pair.one, pair.other)}
    doubtful |= {photo.path for pair in shown for photo in (pair.one, pair.other) if photo.label == UNKNOWN}
    kept = [row for row, photo in enumerate(photos) if photo.path not in doubtful]
    numbers = group_numbers(len(photos), matches)
    return Survey(
        found.folder,
        found.labels,
        [photos[row] for row in kept],
        [*found.left_out, *_reasons(contradictions), *_shown_reasons(shown)],
        renumbered([numbers[row] for row in kept]),
        [pair for pair, _ in pairs if not doubtful & {pair.one.path, pair.other.path}],
        [*found.contradictions, *contradictions],
    )


def _reasons(contradictions: Iterable[Pair]) -> list[LeftOut]:
    others: dict[str, tuple[str, str]] = {}
    for pair in contradictions:
        others.setdefault(pair.one.path, (pair.other.path, pair.how))
        others.setdefault(pair.other.path, (pair.one.path, pair.how))
    return [
        LeftOut(
            path, f"the same picture as {other} of another class ({how}); keep it where it belongs, delete the other"
        )
        for path, (other, how) in sorted(others.items())
    ]


def _shown_reasons(pairs: Iterable[Pair]) -> list[LeftOut]:
    """Photos of other things that show a picture of a class: the class is right."""
    found = {}
    for pair in pairs:
        other, own = sorted((pair.one, pair.other), key=lambda photo: photo.label != UNKNOWN)
        found[other.path] = f"the same picture as {own.path}, which is of a class ({pair.how})"
    return [LeftOut(path, reason) for path, reason in sorted(found.items())]


def renumbered(groups: Sequence[int]) -> list[int]:
    """The same groups, numbered from 0 in the order in which they come."""
    number = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    return [number[group] for group in groups]
