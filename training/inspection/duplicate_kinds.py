"""Kinds of copies: how many of each are found, measured by making them of one's own photos."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.image import ImageSpec, decode, preview
from training.data.duplicates import Thumbnail, find_matches, group_numbers, thumbnail_of
from training.data.survey import Survey, survey

COPIES = 40  # of each kind
_LARGEST = 1024  # px a side of the photos that copies are made of
_LOOK = ImageSpec(height=256, width=256)

Picture = Image.Image
Edit = Callable[[Picture, np.random.Generator], Picture]


class Measured(NamedTuple):
    """How many of `of` copies of a kind are found."""

    kind: str
    found: int
    of: int


class Measurement(NamedTuple):
    """All kinds, and the pairs that are found among the photos as they are: their number, and how many photos."""

    kinds: list[Measured]
    pairs: list[str]
    photos: int


def measure(folder: Path) -> Measurement:
    """Make copies of COPIES photos of the class folders in `folder`, and look for them as `prepare` does."""
    found = survey(folder, deep=True)
    if len(found.photos) < 2:
        raise Refusal(f"{folder}: holds fewer than two photos that can be used; name the folder of the class folders")
    originals = _spread(found)
    thumbnails = [_thumbnail(original) for original in originals]
    kinds = []
    with progress("copies", len(KINDS)) as advance:
        for kind, edit in KINDS.items():
            generator = np.random.default_rng(0)
            copies = [_thumbnail(edit(original, generator)) for original in originals]
            numbers = group_numbers(2 * len(originals), find_matches([*thumbnails, *copies]))
            together = sum(numbers[row] == numbers[row + len(originals)] for row in range(len(originals)))
            kinds.append(Measured(kind, together, len(originals)))
            advance()
    pairs = [f"{pair.one.path}, {pair.other.path}: {pair.how}" for pair in (*found.contradictions, *found.pairs)]
    return Measurement(kinds, pairs, len(found.photos))


def table(measured: Measurement) -> str:
    """The measurement as the documentation has it, in Markdown."""
    rows = [f"| {kind} | {found} of {of} |" for kind, found, of in measured.kinds]
    pairs = [f"- {pair}" for pair in measured.pairs] or ["none"]
    return "\n".join(
        ["| copy | found |", "|---|---|", *rows, "", f"pairs among the {measured.photos} photos as they are:", *pairs]
    )


def _spread(found: Survey) -> list[Picture]:
    """COPIES photos at even distances, or all where there are fewer."""
    rows = np.unique(np.linspace(0, len(found.photos) - 1, COPIES).round().astype(int))
    files = [found.folder / found.photos[row].path for row in rows.tolist()]
    return [Image.fromarray(preview(file.read_bytes(), _LARGEST)) for file in files]


def _thumbnail(picture: Picture) -> Thumbnail:
    """By way of a file, as copies reach us."""
    return thumbnail_of(decode(_jpeg(picture, 90), _LOOK), *picture.size)


def _jpeg(picture: Picture, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _transposed(how: Image.Transpose) -> Edit:
    return lambda picture, _: picture.transpose(how)


def _cropped(share: float) -> Edit:
    """So much of width and height cut off, half of it at each side."""

    def crop(picture: Picture, _: np.random.Generator) -> Picture:
        return ImageOps.crop(picture, tuple(round(side * share / 2) for side in picture.size) * 2)

    return crop


def _corner(share: float) -> Edit:
    return lambda picture, _: picture.crop(
        (0, 0, round(picture.width * (1 - share)), round(picture.height * (1 - share)))
    )


def _centre_square(picture: Picture, _: np.random.Generator | None = None) -> Picture:
    return ImageOps.fit(picture, (min(picture.size),) * 2)


def _letterboxed(colour: str) -> Edit:
    return lambda picture, _: ImageOps.pad(picture, (max(picture.size),) * 2, color=colour)


def _random_crop(low: float, high: float) -> Edit:
    """torchvision's RandomResizedCrop: a share of the area, sides as 3 to 4 until 4 to 3, stretched to a square."""

    def crop(picture: Picture, generator: np.random.Generator) -> Picture:
        for _ in range(10):
            area = picture.width * picture.height * generator.uniform(low, high)
            ratio = np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3)))
            width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if width <= picture.width and height <= picture.height:
                left = int(generator.integers(0, picture.width - width + 1))
                top = int(generator.integers(0, picture.height - height + 1))
                return picture.crop((left, top, left + width, top + height)).resize((224, 224))
        return _centre_square(picture).resize((224, 224))

    return crop


def _turned(degrees: float) -> Edit:
    return lambda picture, _: picture.rotate(degrees, Image.Resampling.BILINEAR)


def _enhanced(what: Callable[[Picture], ImageEnhance._Enhance], factor: float) -> Edit:
    return lambda picture, _: what(picture).enhance(factor)


def _noisy(picture: Picture, generator: np.random.Generator) -> Picture:
    values = np.asarray(picture) + generator.normal(0, 20, (picture.height, picture.width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _erased(picture: Picture, generator: np.random.Generator) -> Picture:
    """A ninth of the area covered in grey."""
    width, height = picture.width // 3, picture.height // 3
    left = int(generator.integers(0, picture.width - width))
    top = int(generator.integers(0, picture.height - height))
    covered = picture.copy()
    covered.paste((114, 114, 114), (left, top, left + width, top + height))
    return covered


def _both(*edits: Edit) -> Edit:
    def edit(picture: Picture, generator: np.random.Generator) -> Picture:
        for each in edits:
            picture = each(picture, generator)
        return picture

    return edit


def _at_quality(quality: int) -> Edit:
    return lambda picture, _: Image.open(io.BytesIO(_jpeg(picture, quality))).convert("RGB")


_MIRRORED = _transposed(Image.Transpose.FLIP_LEFT_RIGHT)

KINDS: dict[str, Edit] = {
    "saved again as JPEG of quality 30": _at_quality(30),
    "half the size": lambda picture, _: picture.reduce(2),
    "stretched to a square": lambda picture, _: picture.resize((224, 224)),
    "mirrored": _MIRRORED,
    "upside down": _transposed(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned by 90°": _transposed(Image.Transpose.ROTATE_90),
    "turned by 180°": _transposed(Image.Transpose.ROTATE_180),
    "turned by 270°": _transposed(Image.Transpose.ROTATE_270),
    "transposed": _transposed(Image.Transpose.TRANSPOSE),
    "transversed": _transposed(Image.Transpose.TRANSVERSE),
    "letterboxed, grey": _letterboxed("#727272"),
    "letterboxed, black": _letterboxed("black"),
    "letterboxed, white": _letterboxed("white"),
    "cropped by 5 %": _cropped(0.05),
    "cropped by 10 %": _cropped(0.1),
    "cropped by 20 %": _cropped(0.2),
    "cropped by 30 %": _cropped(0.3),
    "cropped by 20 % at two sides": _corner(0.2),
    "centre square": _centre_square,
    "mirrored, cropped by 10 %": _both(_MIRRORED, _cropped(0.1)),
    "mirrored, centre square": _both(_MIRRORED, _centre_square),
    "half the brightness": _enhanced(ImageEnhance.Brightness, 0.5),
    "1.4 times the brightness": _enhanced(ImageEnhance.Brightness, 1.4),
    "half the contrast": _enhanced(ImageEnhance.Contrast, 0.5),
    "1.5 times the contrast": _enhanced(ImageEnhance.Contrast, 1.5),
    "twice the saturation": _enhanced(ImageEnhance.Color, 2),
    "grey": lambda picture, _: picture.convert("L").convert("RGB"),
    "blurred by 2 px": lambda picture, _: picture.filter(ImageFilter.GaussianBlur(2)),
    "noise of 20 grey levels": _noisy,
    "posterised to 3 bits": lambda picture, _: ImageOps.posterize(picture, 3),
    "histogram equalised": lambda picture, _: ImageOps.equalize(picture),
    "a ninth covered": _erased,
    "turned by 5°": _turned(5),
    "turned by 10°": _turned(10),
    "turned by 15°": _turned(15),
    "colours swapped": lambda picture, _: Image.merge("RGB", [picture.getchannel(c) for c in "GBR"]),
    "random crop of 50 to 100 % of the area": _random_crop(0.5, 1),
    "random crop of 25 to 50 % of the area": _random_crop(0.25, 0.5),
    "random crop of 8 to 25 % of the area": _random_crop(0.08, 0.25),
    "turned by 30°": _turned(30),
    "solarised": lambda picture, _: ImageOps.solarize(picture, 128),
    "inverted": lambda picture, _: ImageOps.invert(picture),
}
