"""Grouping: photos that agree in detail, also through others, make one group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from training.data.duplicates.agreement import AGREES
from training.data.duplicates.alignment import align
from training.data.duplicates.candidates import find_candidates
from training.data.duplicates.thumbnails import Thumbnail

_WHOLE = 0.8  # of the area, above which a part is no crop
_EVERYWHERE = 0.6  # worst difference in any field, below which nothing was added, removed or covered


class Match(NamedTuple):
    """Two photos, by their positions, that show one picture.

    `agreement` is the correlation of their details, up to 1; `symmetry` tells how `part` is mirrored or turned, `share`
    how much of the area of `whole` it shows. `same`: all of one picture, with nothing added to it.
    """

    whole: int
    part: int
    agreement: float
    symmetry: int
    share: float
    same: bool

    @property
    def how(self) -> str:
        """What was done to make one of the other, in a few words."""
        crop = f"cropped to {self.share:.0%} of it" if self.share < _WHOLE else ""
        changes = [change for change in (_SYMMETRY_NAMES[self.symmetry], crop) if change]
        return ", ".join(changes) or "nearly the same"


_SYMMETRY_NAMES = (
    *("", "mirrored", "upside down, mirrored", "turned by 180 degrees"),
    *(
        "turned by 90 degrees, mirrored",
        "turned by 90 degrees",
        "turned by 90 degrees",
        "turned by 90 degrees, mirrored",
    ),
)


def find_matches(thumbnails: Sequence[Thumbnail]) -> list[Match]:
    """Every pair of photos that show one picture, once each, in the order of the photos."""
    if not thumbnails:
        return []
    grey = np.stack([thumbnail.grey for thumbnail in thumbnails]).astype(np.float32)
    aspects = np.array([thumbnail.aspect for thumbnail in thumbnails], np.float32)
    # Each step has a thread for each core; those of BLAS besides would wait for each other by spinning.
    with threadpool_limits(1, "blas"):
        candidates = find_candidates(grey, aspects)
        aligned = align(grey, aspects, candidates)
    best: dict[tuple[int, int], Match] = {}
    for row in np.flatnonzero(aligned.agreement >= AGREES).tolist():
        whole, part = int(candidates.whole[row]), int(candidates.part[row])
        share = float(abs(np.linalg.det(aligned.warp[row, 2:].reshape(2, 2))))
        match = Match(
            *(whole, part, float(aligned.agreement[row]), int(candidates.symmetry[row]), min(share, 1 / share)),
            same=min(share, 1 / share) >= _WHOLE and float(aligned.worst[row]) <= _EVERYWHERE,
        )
        pair = (min(whole, part), max(whole, part))
        if pair not in best or best[pair].agreement < match.agreement:
            best[pair] = match
    return [best[pair] for pair in sorted(best)]


def group_numbers(count: int, matches: Sequence[Match]) -> list[int]:
    """A group number for each of `count` photos: those that match share one, also through others."""
    ends = [match.whole for match in matches], [match.part for match in matches]
    graph = coo_matrix((np.ones(len(matches), np.int8), ends), shape=(count, count))
    numbers = connected_components(graph, directed=False)[1]  # in the order of their first members
    return [int(number) for number in numbers]
