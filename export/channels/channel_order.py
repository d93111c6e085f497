"""An order of channels in which those that are zero together lie together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.channels.activation_tiles import Tiling

# What the kernel's instruction sets take, with equal weights (docs/kernel.md).
TILINGS = (Tiling(3, 2), Tiling(3, 4), Tiling(6, 4), Tiling(6, 8))
ROWS = tuple(dict.fromkeys(tiling.rows for tiling in TILINGS))
BLOCK = max(tiling.products for tiling in TILINGS)
MOST_PASSES = 4  # later ones save next to nothing
CANDIDATES = 4096  # of a pass, the best
ALWAYS = np.float32(2**20)  # more than samples: what fills up goes together

Order = NDArray[np.int64]
Floats = NDArray[np.float32]


class _Samples(NamedTuple):
    """By rows of a tile [S, C], 1 where a tile has something in a channel; what fills up the last block is 0."""

    of: Mapping[int, Floats]
    channels: int

    def has(self, rows: int, order: Order, unit: int) -> Floats:
        """[S, U]: whether a unit has something, that many neighbours in `order`."""
        found: Floats = self.of[rows][:, order].reshape(len(self.of[rows]), -1, unit)
        together: Floats = found[..., 0] if unit == 1 else found.max(axis=2)
        return together


def find_order(samples: Mapping[int, NDArray[np.bool_]]) -> Order:
    """[C]: the old place of each channel; by all TILINGS, as few steps as can be found are needed for `samples`.

    `samples` are, by the rows of a tile, [S, C]: whether a tile has something else than zeros in a channel. Channels
    are paired by how often both have, then pairs, then fours. Then single channels, pairs and fours change places with
    one another while that saves steps. The same samples give the same order on every computer: only whole numbers are
    added.
    """
    (channels,) = {each.shape[1] for each in samples.values()}
    fill = ((0, 0), (0, -channels % BLOCK))
    filled = _Samples({rows: np.pad(each, fill).astype(np.float32) for rows, each in samples.items()}, channels)
    order = _matched(filled)
    for unit in (1, 2, 4):
        order = _exchanged(filled, order, unit)
    found: Order = order[order < channels]
    return found


def _matched(samples: _Samples) -> Order:
    """Greedy matching, level by level. What fills up is all in one block, at its end, and that block is the last."""
    units = np.arange(samples.of[ROWS[0]].shape[1])[:, np.newaxis]
    while (size := units.shape[1]) < BLOCK:
        fills = (units >= samples.channels).sum(axis=1)
        together = ALWAYS * np.outer(fills, fills).astype(np.float32)
        for rows, products in TILINGS:
            if products == 2 * size:
                has = samples.has(rows, units.ravel(), size)
                together += has.T @ has
        pairs = _greedy_pairs(together)
        emptier_last = np.take_along_axis(pairs, np.argsort(fills[pairs], axis=1, kind="stable"), axis=1)
        units = units[emptier_last].reshape(-1, 2 * size)
    last = np.argsort((units >= samples.channels).any(axis=1), kind="stable")
    return units[last].ravel()


def _greedy_pairs(together: Floats) -> NDArray[np.int64]:
    """[U / 2, 2]: pairs of units, of the highest number in `together` [U, U] first."""
    first, second = np.triu_indices(len(together), 1)
    best = np.argsort(-together[first, second], kind="stable")
    free = set(range(len(together)))
    pairs: list[tuple[int, int]] = []
    for a, b in zip(first[best].tolist(), second[best].tolist(), strict=True):
        if a in free and b in free:
            free -= {a, b}
            pairs.append((a, b))
            if not free:
                break
    return np.array(pairs)


def _exchanged(samples: _Samples, order: Order, unit: int) -> Order:
    """Units of so many channels change places while that saves steps."""
    levels = [_Level(samples, order, unit, tiling) for tiling in TILINGS if tiling.products > unit]
    units = order.reshape(-1, unit)
    stays = (units >= samples.channels).any(axis=1)
    for _ in range(MOST_PASSES):
        saved = np.sum([level.saved() for level in levels], axis=0)
        saved[stays] = saved[:, stays] = 0
        places = _best_exchanges(saved, BLOCK // unit)
        if not (places != np.arange(len(places))).any():
            break
        units = units[places]
        for level in levels:
            level.move(places)
    return units.ravel()


class _Level:
    """How many steps of one tiling are needed, and would be if two units changed places."""

    def __init__(self, samples: _Samples, order: Order, unit: int, tiling: Tiling) -> None:
        self._units = tiling.products // unit  # of a step
        self._weight = tiling.products  # of a step: a layer has fewer of the larger ones
        self._has = samples.has(tiling.rows, order, unit)  # [S, U]
        self._counts = self._has.sum(axis=0)  # [U]
        places = np.arange(len(self._counts))
        self._step = places // self._units
        self._needed = np.zeros(len(places), np.float32)  # of the step in which a unit is
        self._with = np.zeros((len(places), len(places)), np.float32)  # the same with another unit in its place
        self._count(places)

    def saved(self) -> Floats:
        """[U, U]: how many steps fewer are needed where two units change places, by their weight."""
        saved = self._needed[:, np.newaxis] + self._needed - self._with - self._with.T
        saved[self._step[:, np.newaxis] == self._step] = 0
        return self._weight * saved

    def move(self, places: Order) -> None:
        """Bring the units into another order."""
        moved = np.flatnonzero(places != np.arange(len(places)))
        self._has[:, moved] = self._has[:, places[moved]]
        self._counts = self._counts[places]
        self._with = self._with[:, places]
        self._count(np.flatnonzero(np.isin(self._step, self._step[moved])))

    def _count(self, places: Order) -> None:
        """Count anew for the units at `places`, which are whole steps."""
        has = self._has[:, places]
        by_step = has.reshape(len(has), -1, self._units)
        sums = by_step.sum(axis=2, keepdims=True)
        others = (sums > by_step).astype(np.float32).reshape(has.shape)  # whether the step's other units have something
        self._needed[places] = np.repeat((sums[..., 0] > 0).sum(axis=0), self._units)
        self._with[places] = others.sum(axis=0)[:, np.newaxis] + self._counts - others.T @ self._has


def _best_exchanges(saved: Floats, in_block: int) -> Order:
    """[U]: where each unit comes from. The exchanges that save most, of which no two touch the same block."""
    first, second = np.nonzero(np.triu(saved) > 0)
    best = np.argsort(-saved[first, second], kind="stable")[:CANDIDATES]
    places, touched = np.arange(len(saved)), set[int]()
    for a, b in zip(first[best].tolist(), second[best].tolist(), strict=True):
        blocks = {a // in_block, b // in_block}
        if not blocks & touched:
            touched |= blocks
            places[[a, b]] = b, a
    return places
