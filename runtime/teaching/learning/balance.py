"""Class balance: each class counts alike however few photos it has, and other things have a share that is stated.

Each photo counts 1 in the loss, and the head is corrected for how often it has seen each class: logit adjustment (Menon
et al. 2021, arXiv:2007.07314), as in training. For a linear head whose bias has no penalty, adjusting the loss is the
same as adding to the bias afterwards. Weights in place of it would make a few photos of a rare class count for many: of
the public photos, 150 of one class and 10 of the other, they leave a balanced accuracy of 0.85, this 0.91.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.teaching.head import Head
from runtime.teaching.learning.exact import log

# The same as in training (`training.recipe`): the share of other things among what is learned from, and how likely a
# photo is of none of the classes before it has been seen.
UNKNOWN_SHARE = 1 / 3
UNKNOWN_PRIOR = 1 / 5


def other_weights(seen: NDArray[np.bool_], own: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each of M photos of other things counts in P problems that see some of them: `seen` and weights [P, M].

    Together they are UNKNOWN_SHARE of what a problem learns from, beside `own` [P] photos of the classes.
    """
    together = own * UNKNOWN_SHARE / (1 - UNKNOWN_SHARE)
    return np.asarray(seen * (together / np.maximum(np.count_nonzero(seen, axis=1), 1))[:, np.newaxis])


def balanced(head: Head, counts: NDArray[np.int64]) -> Head:
    """A head that was fitted to `counts` [C] photos of each class, as for photos that show each class as often."""
    return Head(head.weights, head.bias - log(counts.astype(np.float64)))


def with_unknown(head: Head, other: Head) -> Head:
    """`head` with a further output, the unknown class with UNKNOWN_PRIOR.

    `other` has an output for any of the labels, to which the evidence of `head` was added, and one for other things,
    of which it saw UNKNOWN_SHARE.
    """
    weights = other.weights[:, 1] - other.weights[:, 0]
    odds = np.array([UNKNOWN_PRIOR / (1 - UNKNOWN_PRIOR), UNKNOWN_SHARE / (1 - UNKNOWN_SHARE)])
    prior, seen = log(odds)
    bias = other.bias[1] - other.bias[0] + prior - seen
    return Head(np.column_stack([head.weights, weights]), np.append(head.bias, bias))
