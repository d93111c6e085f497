"""Heads for the classes and for the unknown class: what tells the classes apart, then what tells them from the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.teaching.examples import Examples, Sums
from runtime.teaching.head import Head
from runtime.teaching.learning.balance import balanced, other_weights, with_unknown
from runtime.teaching.learning.exact import exp, log
from runtime.teaching.learning.solver import Rows, fit, logits_of

# C of scikit-learn's `LogisticRegression`, for photos that count 1 each, and for each class: two classes do best with
# 0.03 to 0.08, 10 and 50 drawn ones with 0.3 and more, for each is told from the others by fewer photos.
STRENGTH = 0.025
UNKNOWN_STRENGTH = 0.05  # the same, of two classes
# The mean penalty of a direction for what views of a photo differ in, where all directions alike have one of 1.
INVARIANCE = 0.5
_OWN_PART = 0.6  # of the work


def fit_heads(
    examples: Examples,
    others: Sums | None,
    scale: float,
    seen: NDArray[np.bool_],
    others_seen: NDArray[np.bool_],
    *,
    tolerance: Sequence[float],
    on_step: Callable[[float], None],
) -> list[Head]:
    """A head for each of P problems, which sees the photos `seen` [P, N] and of `others` those `others_seen` [P, M].

    The classes are told apart by their photos alone: learned together with other things, a hundredth fewer of the
    public photos are recognised. The unknown class is then one more output, for which these logits are given.
    """
    labels, (views, dimensions) = len(examples.labels), examples.features.shape[1:]
    penalty = invariance(examples.features if others is None or others.shape[1] == 1 else others)
    rows = examples.features.reshape(-1, dimensions)
    weights = np.repeat(seen.astype(np.float64) / views, views, axis=1)
    own = fit(
        [Rows(rows, np.repeat(examples.truth, views), weights)],
        labels,
        scale=scale,
        strength=STRENGTH * labels,
        penalty=penalty,
        tolerance=tolerance,
        on_step=lambda done: on_step(done if others is None else _OWN_PART * done),
    )
    heads = [
        balanced(head, np.bincount(examples.truth[mine], minlength=labels))
        for head, mine in zip(own, seen, strict=True)
    ]
    if others is None:
        return heads
    photos = np.count_nonzero(seen, axis=1)
    blocks = [
        Rows(rows, np.zeros(len(rows), np.int64), weights, _evidence(rows, heads, scale)),
        Rows(
            others[:, 0],
            np.ones(len(others), np.int64),
            other_weights(others_seen, photos),
            _evidence(others[:, 0], heads, scale),
        ),
    ]
    unknown = fit(
        blocks,
        2,
        scale=scale,
        strength=UNKNOWN_STRENGTH,
        penalty=penalty,
        tolerance=tolerance,
        on_step=lambda done: on_step(_OWN_PART + (1 - _OWN_PART) * done),
    )
    return [with_unknown(head, other) for head, other in zip(heads, unknown, strict=True)]


def invariance(photos: Sums) -> NDArray[np.float64] | None:
    """A penalty [D, D] of directions in which views of one photo differ, from all views of `photos` [M, V, D].

    What changes in the mirror image of a photo tells no classes apart (tangent propagation: Simard et al. 1991); 784
    photos of other things show it better than a few of the user's. The
    mean of its eigenvalues is INVARIANCE. None where there is one view, or all views are alike.
    """
    total = np.zeros((photos.shape[2],) * 2)
    for view in range(1, photos.shape[1]):
        changes = photos[:, view].astype(np.float64) - photos[:, 0]
        total += changes.T @ changes  # exact: below 2^53
    trace = float(np.add.reduce(total.diagonal()))
    return total * (INVARIANCE * len(total) / trace) if trace else None


def _evidence(features: NDArray[np.uint16], heads: Sequence[Head], scale: float) -> NDArray[np.float64]:
    """How much speaks for any of the labels: the logarithm of the sum of the powers of their logits, [P, N]."""
    found = []
    for head in heads:
        logits = np.ascontiguousarray(logits_of(features, head, scale).T)  # [C, N]
        highest = logits.max(axis=0)
        found.append(highest + log(np.add.reduce(exp(logits - highest), axis=0)))
    return np.array(found)
