"""Alignment: lay a photo over a part of another, and see whether they agree in detail.

Gauss-Newton steps on the squared difference (Lucas and Kanade 1981; forwards additive in Baker and Matthews 2004), with
gain and offset of the brightness fitted, too, first coarse, then fine. What decides is the normalised cross-correlation
of what is left after the local mean and contrast have been taken away: a light sky over a dark lawn is no sign of one
picture.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from runtime.cli.progress import progress
from training.data.duplicates.candidates import Candidates
from training.data.duplicates.sampling import Floats, bilinear, grid, inside, positions, shrunk
from training.data.duplicates.windows import WINDOWS, turned

# Correlation of the details. Of 700 000 pairs of different photos (dandelions, grass, nine other flowers, things) none
# exceeds 0.76; of the copies that it can find nine in ten exceed 0.85.
AGREES = 0.78
_COARSE, _FINE = 16, 32  # cells a side
_BLUR = 2.0  # px of the thumbnail before it is made coarse: of a lawn the cells were chance otherwise
_LONGEST_STEP = 0.04  # of a side
_LOCAL = 4  # cells to each side over which mean and deviation are taken
_FAINT = 4.0  # grey levels; fainter detail counts for less
_LEAST_OVERLAP = 0.5  # of the part
_SMALLEST, _LARGEST, _MOST_UNEVEN = 0.3, 1.6, 3.0  # of the warp's singular values, and of their ratio
_AT_ONCE = 256  # pairs


class _Stage(NamedTuple):
    """So many steps on pictures of `side` cells; `free` are the warp's parameters that may change.

    Pairs whose correlation is below `least` afterwards are given up.
    """

    side: int
    steps: int
    free: list[int]
    least: float


_PLACE_AND_SIZE, _ALL = [0, 1, 2, 5], [0, 1, 2, 3, 4, 5]  # turning, too, would lead astray while all is coarse
_STAGES = (
    _Stage(_COARSE, 3, _PLACE_AND_SIZE, 0.5),
    _Stage(_COARSE, 3, _PLACE_AND_SIZE, 0.68),
    _Stage(_FINE, 5, _ALL, AGREES),
)


class Aligned(NamedTuple):
    """P pairs after alignment.

    `agreement` [P] is their correlation, 0 for what cannot be a copy, `warp` [P, 6] where the part lies in the whole,
    `worst` [P] the largest difference in any of 4 x 4 fields, in units of the picture's contrast.
    """

    agreement: Floats
    warp: Floats
    worst: Floats


def align(grey: Floats, aspects: Floats, candidates: Candidates) -> Aligned:
    """Lay the parts of the candidates over their wholes; `grey` are the thumbnails [N, SIDE, SIDE]."""
    blurred = gaussian_filter(grey, (0, _BLUR, _BLUR), mode="nearest")
    pictures = {_COARSE: shrunk(blurred, _COARSE), _FINE: shrunk(grey, _FINE)}
    count = len(candidates.whole)
    chunks = [_chosen(candidates, slice(start, start + _AT_ONCE)) for start in range(0, count, _AT_ONCE)]
    found = [Aligned(np.zeros(0, np.float32), np.zeros((0, 6), np.float32), np.zeros(0, np.float32))]
    with ThreadPoolExecutor() as pool, progress("align", count) as advance:
        for aligned in pool.map(lambda some: _align(pictures, grey, aspects, some), chunks):
            found.append(aligned)
            advance(len(aligned.worst))
    return Aligned(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _align(pictures: dict[int, Floats], grey: Floats, aspects: Floats, pairs: Candidates) -> Aligned:
    starts = zip(pairs.window.tolist(), aspects[pairs.whole].tolist(), strict=True)
    warp = np.array([WINDOWS[window].warp(aspect) for window, aspect in starts], np.float32)
    agreement, worst = np.zeros((2, len(warp)), np.float32)
    on = np.arange(len(warp))
    for stage in _STAGES:
        some = _chosen(pairs, on)
        parts = _turned(pictures[stage.side], some)
        warp[on] = _refined(pictures[stage.side], some.whole, parts, warp[on], stage)
        against = grey if stage.side == _FINE else pictures[stage.side]
        found, worst[on] = _agreement(against, some.whole, parts, warp[on])
        agreement[:] = 0
        agreement[on] = found
        on = on[found >= stage.least]
        if not len(on):
            break
    return Aligned(np.where(np.isin(np.arange(len(warp)), on), agreement, 0), warp, worst)


def _chosen(pairs: Candidates, which: NDArray[np.int64] | slice) -> Candidates:
    return Candidates(*(field[which] for field in pairs))


def _turned(pictures: Floats, pairs: Candidates) -> Floats:
    pairs_of = zip(pairs.part.tolist(), pairs.symmetry.tolist(), strict=True)
    return np.stack([turned(pictures[part], symmetry) for part, symmetry in pairs_of])


def _refined(pictures: Floats, whole: NDArray[np.int64], parts: Floats, warp: Floats, stage: _Stage) -> Floats:
    """The warps [P, 6] after the steps of a stage; `pictures` [N, S, S] and `parts` [P, S, S] are of one size."""
    side = pictures.shape[1]
    rows, columns = grid(side)
    down, across = (gradient * side for gradient in np.gradient(pictures, axis=(1, 2)))
    wanted = parts.reshape(len(parts), -1)
    for _ in range(stage.steps):
        y, x = positions(warp, rows, columns)
        seen = inside(y, x)
        dy, dx = (bilinear(gradient, whole, y, x) * seen for gradient in (down, across))
        found, target = (_centred(values, seen) for values in (bilinear(pictures, whole, y, x), wanted))
        gain = (found * target).sum(1) / ((target * target).sum(1) + 1e-3)
        difference = np.maximum(gain, 0.05)[:, None] * target - found
        slopes = np.stack([dy, dx, dy * rows, dy * columns, dx * rows, dx * columns], axis=1)[:, stage.free]
        slopes = _centred(slopes, seen[:, None])
        warp[:, stage.free] += np.clip(_solved(slopes, difference), -_LONGEST_STEP, _LONGEST_STEP)
    return warp


def _solved(slopes: Floats, difference: Floats) -> Floats:
    """The least-squares step [P, 6], damped a little, for slopes [P, 6, M] and differences [P, M]."""
    normal = slopes @ slopes.transpose(0, 2, 1)
    damping = 1e-3 * (np.trace(normal, axis1=1, axis2=2) / slopes.shape[1] + 1)
    normal = normal + np.eye(slopes.shape[1], dtype=np.float32) * damping[:, None, None]
    step: Floats = np.linalg.solve(normal, slopes @ difference[:, :, None])[:, :, 0]
    return step


def _centred(values: Floats, seen: Floats) -> Floats:
    """Values less their mean over what is seen, 0 elsewhere; over the last axis."""
    mean = (values * seen).sum(-1, keepdims=True) / np.maximum(seen.sum(-1, keepdims=True), 1)
    centred: Floats = (values - mean) * seen
    return centred


def _agreement(pictures: Floats, whole: NDArray[np.int64], parts: Floats, warp: Floats) -> tuple[Floats, Floats]:
    """Correlation of the details and the worst field's difference, each [P]; correlation 0 for an impossible warp."""
    cells = parts.shape[1]
    y, x = positions(warp, *grid(cells))
    seen = inside(y, x, margin=0.5 / pictures.shape[1]).reshape(-1, cells, cells)
    found = bilinear(pictures, whole, y, x).reshape(-1, cells, cells)
    found, part = (_detail(picture, seen) for picture in (found, parts))
    powers = (found * found).sum((1, 2)), (part * part).sum((1, 2))
    correlation = (found * part).sum((1, 2)) / np.sqrt(powers[0] * powers[1] + 1e-3)
    possible = _is_possible(warp) & (seen.mean((1, 2)) >= _LEAST_OVERLAP)
    gain = (found * part).sum((1, 2)) / (powers[1] + 1e-3)
    left = shrunk((found - gain[:, None, None] * part) ** 2, 4).max((1, 2))
    worst = np.sqrt(left / (powers[0] / cells**2 + 1e-3))
    return np.where(possible, correlation, 0).astype(np.float32), worst.astype(np.float32)


def _is_possible(warp: Floats) -> NDArray[np.bool_]:
    """Whether the warps [P, 6] shrink, stretch and skew no more than augmentation does."""
    values = np.linalg.svd(warp[:, 2:].reshape(-1, 2, 2), compute_uv=False)
    largest, smallest = values[:, 0], values[:, 1]
    return np.asarray((largest <= _LARGEST) & (smallest >= _SMALLEST) & (largest <= _MOST_UNEVEN * smallest))


def _detail(pictures: Floats, seen: Floats) -> Floats:
    """Pictures [P, S, S] less the mean around each cell, over its deviation there, as far as they are seen."""
    cells: Floats = np.maximum(_box_sum(seen), 1)
    detail: Floats = (pictures - _box_sum(pictures * seen) / cells) * seen
    power: Floats = np.maximum(_box_sum(detail * detail) / cells, 0)
    deviation: Floats = np.sqrt(power) + np.float32(_FAINT)
    return (detail / deviation).astype(np.float32, copy=False)


def _box_sum(values: Floats) -> Floats:
    """Sums over squares of 2 _LOCAL + 1 cells a side around each cell, by an integral image."""
    width = 2 * _LOCAL + 1
    table = np.pad(values, ((0, 0), (_LOCAL + 1, _LOCAL), (_LOCAL + 1, _LOCAL))).cumsum(1).cumsum(2)
    sums: Floats = table[:, width:, width:] - table[:, :-width, width:] - table[:, width:, :-width]
    sums += table[:, :-width, :-width]
    return sums
