"""Features of labelled files, on all cores: for a host on which nothing else is to be done meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from runtime.host.photo_limits import PhotoLimits
from runtime.image import ImageError
from runtime.teaching.backbone import FeatureExtractor, Seen
from runtime.teaching.examples import Examples
from runtime.teaching.from_files.labelled_files import LabelledFile

AHEAD = 64  # photos whose features are computed before others are read


@dataclass(frozen=True)
class Collected:
    """Examples of files, and the files of their photos by SHA-256.

    `unreadable` are left out, with the reasons; so are `contradictory` groups of files, the same photo under several
    labels. `copies` is how many more were the same photo under the same label.
    """

    examples: Examples
    files: dict[str, Path]
    unreadable: list[tuple[Path, str]]
    contradictory: list[list[Path]]
    copies: int


@dataclass(frozen=True)
class _Photo:
    file: LabelledFile
    sha256: str
    seen: Seen


def collect(
    files: Sequence[LabelledFile],
    extractor: FeatureExtractor,
    limits: PhotoLimits,
    *,
    threads: int,
    advance: Callable[[], object],
) -> Collected:
    """Compute the features of `files` in `threads`; `advance` is called for each.

    The examples are sorted by SHA-256, the labels by their first file.
    """
    photos: list[_Photo] = []
    unreadable: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(threads, thread_name_prefix="features") as pool:
        for start in range(0, len(files), AHEAD):
            part = files[start : start + AHEAD]
            for file, result in zip(part, pool.map(partial(_look, extractor, limits), part), strict=True):
                advance()
                if isinstance(result, _Photo):
                    photos.append(result)
                else:
                    unreadable.append((file.path, result))
    return _collected(photos, list(dict.fromkeys(file.label for file in files)), unreadable)


def _look(extractor: FeatureExtractor, limits: PhotoLimits, file: LabelledFile) -> _Photo | str:
    """The photo in a file, or why it cannot be read."""
    try:
        data = file.path.read_bytes()
        return _Photo(file, hashlib.sha256(data).hexdigest(), extractor.features_of(data, limits))
    except OSError as error:
        return error.strerror or str(error)
    except ImageError as error:
        return str(error)


def _collected(photos: Sequence[_Photo], labels: list[str], unreadable: list[tuple[Path, str]]) -> Collected:
    by_content: dict[str, list[_Photo]] = {}
    for photo in photos:
        by_content.setdefault(photo.sha256, []).append(photo)
    clear = [same[0] for _, same in sorted(by_content.items()) if len({photo.file.label for photo in same}) == 1]
    contradictory = [
        [photo.file.path for photo in same]
        for same in by_content.values()
        if len({photo.file.label for photo in same}) > 1
    ]
    left_out = sum(map(len, contradictory))
    place = {label: index for index, label in enumerate(labels)}
    examples = Examples(
        labels=labels,
        photos=[photo.sha256 for photo in clear],
        truth=np.array([place[photo.file.label] for photo in clear], np.int64),
        features=np.stack([photo.seen.features for photo in clear]) if clear else np.zeros((0, 1, 1), np.uint16),
        brightness=np.array([photo.seen.brightness for photo in clear], np.float32),
    )
    files = {photo.sha256: photo.file.path for photo in clear}
    return Collected(examples, files, unreadable, contradictory, len(photos) - len(clear) - left_out)
