"""Cross-validation of a logistic regression on frozen features, near-duplicates always in one fold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from runtime.cli.progress import progress
from training.data.split import assign_folds

FOLDS = 5
SEED = 42
_STRENGTH = 0.01  # scikit-learn's C, as in `training.learning.fit`: 512 features meet a few hundred photos
_STEPS = 200  # of the solver; the last ones change no answer


@dataclass(frozen=True)
class Examples:
    """N photos: `features` [N, D], class indices `truth` [N], near-duplicate `groups` [N]; `labels` of C classes."""

    features: NDArray[np.float32]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    labels: Sequence[str]

    @property
    def folds(self) -> NDArray[np.int64]:
        """The fold of each photo, [N]: FOLDS of them, or as many as the smallest class has groups."""
        names = [self.labels[index] for index in self.truth]
        smallest = min(len(np.unique(self.groups[self.truth == index])) for index in range(len(self.labels)))
        return assign_folds(names, self.groups.tolist(), min(FOLDS, smallest), SEED)


def probabilities_of(examples: Examples) -> NDArray[np.float64]:
    """The probability of each class for each photo, [N, C], by a model that has not seen the photo's fold."""
    folds = examples.folds
    found = np.zeros((len(folds), len(examples.labels)))
    with progress("cross-validate", int(folds.max()) + 1) as advance:
        for fold in range(int(folds.max()) + 1):
            held_out = folds == fold
            model = fitted(examples.features[~held_out], examples.truth[~held_out])
            found[np.ix_(held_out, model.classes_)] = model.predict_proba(examples.features[held_out])
            advance()
    return found


def fitted(features: NDArray[np.float32], truth: NDArray[np.int64]) -> LogisticRegression:
    """A logistic regression in which every class counts for the same, however few photos it has."""
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=_STEPS)
    # So few numbers are quicker with one thread: more would spin while they wait for each other.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, truth)
    return model
