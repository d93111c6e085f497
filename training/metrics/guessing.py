"""What guessing would reach on the same photos: how far a model is from it."""

from __future__ import annotations

import numpy as np

from training.metrics.intervals import proportion_interval
from training.metrics.scores import Predictions


def most_common(predictions: Predictions) -> tuple[str, float]:
    """The class that most photos show, and its share of them: the accuracy of always naming it."""
    counts = np.bincount(predictions.truth, minlength=len(predictions.labels))
    return predictions.labels[int(counts.argmax())], float(counts.max() / counts.sum())


def against_guessing(predictions: Predictions) -> str:
    """One line: accuracy with its interval, and what guessing gets; a warning where the two cannot be told apart."""
    right, photos = int((predictions.predicted == predictions.truth).sum()), len(predictions.truth)
    low, high = proportion_interval(right, photos)
    label, share = most_common(predictions)
    line = (
        f"right on {right} of {photos} validation photos: {right / photos:.1%}, 95 % interval {low:.1%} to {high:.1%}; "
        f"always saying {label!r} would reach {share:.1%}, blind guessing {1 / len(predictions.labels):.1%}"
    )
    if low > share:
        return line
    return f"warning: {line}: the model cannot be told from guessing; add photos, and look at the report"
