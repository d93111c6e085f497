"""Alignment: lay a photo over a part of another, and see whether they agree in detail.

Gauss-Newton steps on the squared difference (Lucas and Kanade 1981; forwards additive in Baker and Matthews 2004), with
gain and offset of the brightness fitted, too, first coarse, then fine. What decides is whether their details agree.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from runtime.cli.progress import progress
from training.data.duplicates.agreement import AGREES, agreement_of
from training.data.duplicates.candidates import Candidates
from training.data.duplicates.sampling import Floats, between, grid, inside, interpolated, positions, shrunk
from training.data.duplicates.windows import WINDOWS, turned

_COARSE, _FINE = 16, 32  # cells a side
_BLUR = 2.0  # px of the thumbnail before it is made coarse: of a lawn the cells were chance otherwise
_LONGEST_STEP = 0.04  # of a side
_AT_ONCE = 64  # pairs: what they need while they are refined stays in a processor's cache


class _Level(NamedTuple):
    """The pictures [N, S, S] at one size, and the flat values of their slopes downwards and across, [N * S * S]."""

    pictures: Floats
    down: Floats
    across: Floats

    @classmethod
    def of(cls, pictures: Floats) -> _Level:
        side = pictures.shape[1]
        down, across = (gradient.reshape(-1) * side for gradient in np.gradient(pictures, axis=(1, 2)))
        return cls(pictures, down, across)


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
    levels = {_COARSE: _Level.of(shrunk(blurred, _COARSE)), _FINE: _Level.of(shrunk(grey, _FINE))}
    count = len(candidates.whole)
    chunks = [_chosen(candidates, slice(start, start + _AT_ONCE)) for start in range(0, count, _AT_ONCE)]
    found = [Aligned(np.zeros(0, np.float32), np.zeros((0, 6), np.float32), np.zeros(0, np.float32))]
    with ThreadPoolExecutor() as pool, progress("align", count) as advance:
        for aligned in pool.map(lambda some: _align(levels, grey, aspects, some), chunks):
            found.append(aligned)
            advance(len(aligned.worst))
    return Aligned(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _align(levels: dict[int, _Level], grey: Floats, aspects: Floats, pairs: Candidates) -> Aligned:
    starts = zip(pairs.window.tolist(), aspects[pairs.whole].tolist(), strict=True)
    warp = np.array([WINDOWS[window].warp(aspect) for window, aspect in starts], np.float32)
    agreement, worst = np.zeros((2, len(warp)), np.float32)
    on = np.arange(len(warp))
    for stage in _STAGES:
        some = _chosen(pairs, on)
        level = levels[stage.side]
        parts = _turned(level.pictures, some)
        warp[on] = _refined(level, some.whole, parts, warp[on], stage)
        against = grey if stage.side == _FINE else level.pictures
        found, worst[on] = agreement_of(against, some.whole, parts, warp[on])
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


def _refined(level: _Level, whole: NDArray[np.int64], parts: Floats, warp: Floats, stage: _Stage) -> Floats:
    """The warps [P, 6] after the steps of a stage; the level's pictures and `parts` [P, S, S] are of one size."""
    side = stage.side
    values, wanted = level.pictures.reshape(-1), parts.reshape(len(parts), -1)
    rows, columns = grid(side)
    for _ in range(stage.steps):
        y, x = positions(warp, rows, columns)
        seen = inside(y, x)
        places = between(side, whole, y, x)
        found, target = (_centred(each, seen) for each in (interpolated(values, places), wanted))
        gain = (found * target).sum(1) / ((target * target).sum(1) + 1e-3)
        difference = np.maximum(gain, 0.05)[:, None] * target - found
        dy, dx = (interpolated(gradient, places) * seen for gradient in (level.down, level.across))
        slopes = np.empty((len(warp), len(stage.free), side * side), np.float32)
        for row, parameter in enumerate(stage.free):
            gradient, factor = ((dy, 1), (dx, 1), (dy, rows), (dy, columns), (dx, rows), (dx, columns))[parameter]
            np.multiply(gradient, factor, out=slopes[:, row])
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
    centred: Floats = values * seen
    centred -= centred.sum(-1, keepdims=True) / np.maximum(seen.sum(-1, keepdims=True), 1)
    centred *= seen
    return centred
