"""Classification metrics that training and teaching share: precision, recall, F1, and calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_over_classes(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> tuple[float, float, float]:
    """Precision, recall and F1 as means over the classes, 0 where a class is neither there nor said.

    As scikit-learn's `precision_recall_fscore_support`, whose checks of its arguments take milliseconds, for the
    thousands of resamples of an interval.
    """
    hits, claimed, present = (
        np.bincount(rows, minlength=classes) for rows in (truth[truth == predicted], predicted, truth)
    )
    precision, recall = hits / np.maximum(claimed, 1), hits / np.maximum(present, 1)
    f1 = 2 * hits / np.maximum(claimed + present, 1)
    return float(precision.mean()), float(recall.mean()), float(f1.mean())


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599), 0..1.

    `confidence` [N] is that of the predicted class, `right` [N] whether it was the true one.
    """
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))
