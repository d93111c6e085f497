"""Photos to measure with: yours, or synthetic ones of the same size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.image import ImageError, ImageSpec, decode
from training.data.dataset import Dataset
from training.data.prepare import prepare

THUMBNAIL = (275, 183)
PHONE = (4000, 3000)
MOST = 64
PER_CLASS = 200


def load_photos(folder: Path | None, most: int = MOST) -> tuple[list[bytes], str]:
    """Encoded photos to measure with, at most `most`, and where they are from; drawn ones without a folder.

    Raises Refusal where there is no folder, no photo in it, or one that does not decode.
    """
    if folder is None:
        return [draw_jpeg(THUMBNAIL, seed) for seed in range(16)], "16 drawn photos of 275 x 183 px"
    if not folder.is_dir():
        raise Refusal(f"{folder}: is not a folder; name a folder of JPEG photos with --photos")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})
    if not files:
        raise Refusal(f"{folder}: holds no JPEG photos; name another folder with --photos")
    chosen = files[:: max(1, len(files) // most)][:most]
    return [_read(file) for file in chosen], f"{len(chosen)} of {len(files)} photos of {folder.resolve().name}"


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        decode(data, ImageSpec(height=32, width=32))
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}; take it out of the folder or name another one") from error
    except ImageError as error:
        raise Refusal(f"{file}: {error}") from error
    return data


def drawn_dataset(folder: Path) -> Dataset:
    """A prepared dataset of drawn photos in `folder`, as large as the original one: two classes of 200."""
    raw = folder / "raw"
    with progress("draw photos", 2 * PER_CLASS) as advance:
        for position, label in enumerate(("coarse", "fine")):
            (raw / label).mkdir(parents=True)
            for seed in range(PER_CLASS):
                file = raw / label / f"{seed:08}.jpg"
                file.write_bytes(draw_jpeg(THUMBNAIL, PER_CLASS * position + seed))
                advance()
    prepare(raw, folder / "processed")
    return Dataset.open(folder / "processed")


def draw_jpeg(size: tuple[int, int], seed: int) -> bytes:
    """A JPEG with about as much detail as a photo of a meadow: blurred noise over soft colours."""
    width, height = size
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    stream = io.BytesIO()
    Image.blend(coarse, fine.filter(ImageFilter.GaussianBlur(1)), 0.35).save(stream, "JPEG", quality=88)
    return stream.getvalue()
