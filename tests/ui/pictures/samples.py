"""`python -m tests.ui.pictures.samples`: the drawn photos that the page offers to a first visitor, into ui/static."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.ui.pictures.meadow import meadow

FOLDER = Path(__file__).parents[3] / "ui" / "static" / "samples"
SIZE = (640, 480)
DRAWN = {"dandelion": (5, 1), "grass": (6, 0), "dandelions": (5, 3), "pair": (6, 2)}  # name: seed, flowers in bloom


def draw(name: str) -> Image.Image:
    """One of DRAWN."""
    seed, flowers = DRAWN[name]
    return meadow(seed, flowers=flowers).resize(SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    """Draw all, and say how large they are."""
    FOLDER.mkdir(exist_ok=True)
    for name in DRAWN:
        file = FOLDER / f"{name}.webp"
        draw(name).save(file, quality=72, method=6)
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
