"""Photos to count with: how many activations are 0, and so need no arithmetic, depends on the photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.golden_patterns import draw
from runtime.errors import Refusal
from runtime.image import ImageError, ImageSpec, decode

COUNT = 3
DRAWN = ("blotches", "discs", "blades")


def counted_photos(folder: Path | None, spec: ImageSpec) -> tuple[NDArray[np.uint8], list[str]]:
    """COUNT photos [N, height, width, 3] from all over `folder`, or drawn golden patterns; and their names.

    Raises Refusal where the folder holds too few JPEG photos, or one that does not decode.
    """
    if folder is None:
        return np.stack([draw(pattern, 0, spec) for pattern in DRAWN]), [f"drawn {pattern}" for pattern in DRAWN]
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})
    if len(files) < COUNT:
        raise Refusal(f"{folder}: holds {len(files)} JPEG photos, and {COUNT} are needed; name another with --photos")
    chosen = [files[len(files) * (2 * number + 1) // (2 * COUNT)] for number in range(COUNT)]
    try:
        pixels = np.stack([decode(file.read_bytes(), spec) for file in chosen])
    except (OSError, ImageError) as error:
        raise Refusal(f"{folder}: {error}; take that photo out, or name another folder with --photos") from error
    return pixels, [str(file.relative_to(folder)) for file in chosen]
