"""The search for near-duplicates against the same computed plainly: every pair, every symmetry and every window."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from runtime.image import ImageSpec, decode_photo
from tests.support.photos import draw_photo, encode
from training.data.duplicates import thumbnail_of
from training.data.duplicates.agreement import AGREES, agreement_of
from training.data.duplicates.alignment import align
from training.data.duplicates.candidates import PROMISING, Candidates, find_candidates
from training.data.duplicates.sampling import bilinear, grid, inside, positions
from training.data.duplicates.windows import SYMMETRIES, WINDOWS, describe, turned

Floats = NDArray[np.float32]

LOOK = ImageSpec(height=256, width=256)
NEARLY = 1e-4  # sums of 32 bits in another order


def of_files(files: list[bytes]) -> tuple[Floats, Floats]:
    """The thumbnails of photos and their aspects."""
    found = [thumbnail_of(decode_photo(file, LOOK).pixels, *Image.open(io.BytesIO(file)).size) for file in files]
    return (
        np.stack([each.grey for each in found]).astype(np.float32),
        np.array([each.aspect for each in found], np.float32),
    )


def drawn() -> list[bytes]:
    return [encode(draw_photo(label, seed, (320, 240))) for label in ("dandelion", "grass") for seed in range(20)]


def real(variable: str) -> list[bytes]:
    folder = os.environ.get(variable)
    if folder is None:
        pytest.skip(
            f"set {variable} to a folder of the real photos (python -m training fetch --other public brings them)"
        )
    files = sorted(file for file in Path(folder).glob("*/*") if file.is_file())
    return [file.read_bytes() for file in files[:: max(1, len(files) // 120)]]


@pytest.fixture(scope="module", params=["drawn", "DANDELION_PHOTOS", "DANDELION_OTHER_PHOTOS"])
def thumbnails(request: pytest.FixtureRequest) -> tuple[Floats, Floats]:
    return of_files(drawn() if request.param == "drawn" else real(request.param))


def likeness(grey: Floats, aspects: Floats) -> NDArray[np.float64]:
    """The largest cosine of the windows of each photo and each other photo, turned, in 64 bits; [whole, part]."""
    windows = describe(grey, aspects).astype(np.float64)
    square = np.ones_like(aspects)
    best = np.full((len(grey), len(grey)), -1.0)
    for symmetry in range(SYMMETRIES):
        photos = describe(np.ascontiguousarray(turned(grey, symmetry)), square)[:, 0].astype(np.float64)
        for window in range(len(WINDOWS)):
            best = np.maximum(best, windows[:, window] @ photos.T)
    np.fill_diagonal(best, -1)
    return best


def test_the_candidates_are_those_of_comparing_every_pair_plainly(thumbnails: tuple[Floats, Floats]) -> None:
    best = likeness(*thumbnails)
    candidates = find_candidates(*thumbnails)
    found = set(zip(candidates.whole.tolist(), candidates.part.tolist(), strict=True))
    assert len(found) == len(candidates.whole)
    assert found >= set(zip(*(rows.tolist() for rows in np.nonzero(best >= PROMISING + NEARLY)), strict=True))
    assert found <= set(zip(*(rows.tolist() for rows in np.nonzero(best >= PROMISING - NEARLY)), strict=True))
    assert found


def test_what_agrees_does_not_depend_on_which_pairs_are_looked_at_together(thumbnails: tuple[Floats, Floats]) -> None:
    candidates = find_candidates(*thumbnails)
    together = align(*thumbnails, candidates)
    order = np.random.default_rng(0).permutation(len(candidates.whole))
    shuffled = align(*thumbnails, Candidates(*(field[order] for field in candidates)))
    assert np.array_equal(together.agreement[order] >= AGREES, shuffled.agreement >= AGREES)
    assert np.abs(together.agreement[order] - shuffled.agreement).max() < NEARLY


def warps(count: int) -> Floats:
    """Warps near to the identity, some of which reach beyond the picture."""
    generator = np.random.default_rng(1)
    identity = np.array([0.5, 0.5, 1, 0, 0, 1])
    return (identity + generator.normal(0, 0.08, (count, 6))).astype(np.float32)


def test_bilinear_sampling_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    pictures = generator.uniform(0, 255, (5, 64, 64)).astype(np.float32)
    which = generator.integers(0, 5, 30)
    y, x = positions(warps(30), *grid(32))
    expected = [
        map_coordinates(
            pictures[of].astype(np.float64), (rows * 64.0 - 0.5, columns * 64.0 - 0.5), order=1, mode="nearest"
        )
        for of, rows, columns in zip(which, y, x, strict=True)
    ]
    assert np.allclose(bilinear(pictures, which, y, x), expected, atol=0.01)


def plain_correlation(found: Floats, part: Floats, seen: Floats) -> float:
    """The correlation of the details of two pictures [C, C], cell by cell in 64 bits."""

    def detail(picture: Floats) -> NDArray[np.float64]:
        less_mean = np.zeros(picture.shape)
        over_deviation = np.zeros(picture.shape)
        around = [(place, tuple(slice(max(0, at - 4), at + 5) for at in place)) for place in np.ndindex(*picture.shape)]
        for place, box in around:
            count = max(seen[box].sum(dtype=np.float64), 1)
            less_mean[place] = (picture[place] - (picture[box] * seen[box]).sum(dtype=np.float64) / count) * seen[place]
        for place, box in around:
            power = (less_mean[box] ** 2).sum() / max(seen[box].sum(dtype=np.float64), 1)
            over_deviation[place] = less_mean[place] / (np.sqrt(power) + 4)
        return over_deviation

    one, other = detail(found), detail(part)
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum() + 1e-3))


@pytest.mark.parametrize("cells", [16, 32])
def test_agreement_is_the_correlation_of_details_computed_cell_by_cell(cells: int) -> None:
    grey, _ = of_files(drawn()[:6])
    whole = np.arange(6)
    parts = np.stack([picture[:: 64 // cells, :: 64 // cells] for picture in grey])
    some = warps(6)
    found, _ = agreement_of(grey, whole, parts, some)
    y, x = positions(some, *grid(cells))
    seen = inside(y, x, margin=0.5 / 64).reshape(-1, cells, cells)
    under = bilinear(grey, whole, y, x).reshape(-1, cells, cells)
    assert not seen.all()
    expected = [plain_correlation(*each) for each in zip(under, parts, seen, strict=True)]
    assert np.allclose(found, expected, atol=NEARLY)
