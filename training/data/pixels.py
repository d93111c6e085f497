"""Pixel cache: photos decoded once, by the code that serves, in a memory-mapped file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.cli.progress import progress
from runtime.host.atomic import remove_abandoned, whole_file
from runtime.image import ImageError, ImageSpec, decode
from runtime.names import UNKNOWN
from training.data import altered_copies
from training.data.altered_copies import ALTERATIONS, altered_copy
from training.data.dataset import Dataset, DatasetError, Photo

# In the name of each cache, so that pixels that an earlier release decoded otherwise are not taken for today's.
DECODING = 2
COPY_SEED = 42  # of the copies that help to set a threshold
COPIED = 200  # photos; to set a threshold, more would be slow and change little


def load_pixels(dataset: Dataset, size: int) -> NDArray[np.uint8]:
    """All photos of the dataset at `size` px a side: [N, size, size, 3], RGB, 0..255, in the manifest's order.

    The array is a read-only map of a file in the dataset's folder, made on first use (N x size x size x 3 bytes).
    Raises DatasetError for a photo that does not decode or has changed.
    """
    return _cached(dataset, size, f"{DECODING}", dataset.read)


def load_altered_pixels(dataset: Dataset, size: int, kind: str, *, seed: int) -> NDArray[np.uint8]:
    """As `load_pixels`, of a copy of each photo that is altered by `kind` (`training.data.altered_copies`)."""
    code = hashlib.sha256(Path(str(altered_copies.__file__)).read_bytes()).hexdigest()[:8]

    def altered(photo: Photo) -> bytes:
        return altered_copy(dataset.read(photo), kind, name=photo.path, seed=seed)

    return _cached(dataset, size, f"{DECODING}-{kind.replace(' ', '-')}-{seed}-{code}", altered)


class ValidationCopies(NamedTuple):
    """Altered copies of P validation photos of the labels: [P, size, size, 3] by kind, and the photos' classes [P]."""

    kinds: dict[str, NDArray[np.uint8]]
    truth: NDArray[np.int64]


def load_validation_copies(dataset: Dataset, size: int, *, seed: int) -> ValidationCopies:
    """Altered copies of the labels' validation photos, of COPIED photos at most."""
    photos = [photo for photo in dataset.photos("validation") if photo.label != UNKNOWN]
    chosen = [photos[row] for row in np.linspace(0, len(photos) - 1, min(len(photos), COPIED)).astype(int)]
    part = replace(dataset, manifest=msgspec.structs.replace(dataset.manifest, photos=chosen))
    kinds = {kind: np.array(load_altered_pixels(part, size, kind, seed=seed)) for kind in ALTERATIONS}
    return ValidationCopies(kinds, truth(part))


def forget_pixels(dataset: Dataset) -> None:
    """Remove what `load_pixels` keeps of this dataset, at every size."""
    for file in _cache_folder(dataset).glob(f"{_cache_name(dataset)}-*.npy"):
        file.unlink(missing_ok=True)


def truth(dataset: Dataset) -> NDArray[np.int64]:
    """The class index of every photo, [N], in the manifest's order."""
    classes = dataset.classes
    return np.array([classes.index(photo.label) for photo in dataset.photos()], dtype=np.int64)


def _cache_folder(dataset: Dataset) -> Path:
    return dataset.path / ".pixels"


def _cache_name(dataset: Dataset) -> str:
    return dataset.manifest.sha256[:16]


def _cached(dataset: Dataset, size: int, variant: str, read: Callable[[Photo], bytes]) -> NDArray[np.uint8]:
    file = _cache_folder(dataset) / f"{_cache_name(dataset)}-{size}-{variant}.npy"
    if not file.exists():
        _decode_all(dataset, size, file, read)
    pixels: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return pixels


def _decode_all(dataset: Dataset, size: int, file: Path, read: Callable[[Photo], bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    photos = dataset.photos()
    remove_abandoned(file.parent)
    spec = ImageSpec(height=size, width=size)

    def decode_one(photo: Photo) -> NDArray[np.uint8]:
        try:
            return decode(read(photo), spec)
        except ImageError as error:
            raise DatasetError(
                f"{dataset.path / photo.path}: {error}; run `python -m training prepare` again"
            ) from error

    with whole_file(file) as part, part.open("wb") as stream:
        shape = (len(photos), size, size, 3)
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with ThreadPoolExecutor() as pool, progress(f"decode at {size} px", len(photos)) as advance:
            for pixels in pool.map(decode_one, photos):
                stream.write(pixels.tobytes())
                advance()
