"""Gates that no class may be forgotten: balanced accuracy, and the recall of the worst class.

A model that answers with one class of two is right on 95 % of the photos where 95 % of the photos show that class.
So each class is counted by itself, and must be shown to be recognised better than by guessing: the lower end of the
95 % interval has to reach the limit. Where there are too few photos for any interval to show that, less is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from runtime.bundle.manifest import Gate
from training.metrics.intervals import mean_interval, proportion_interval
from training.metrics.scores import Predictions

FEW_IN_ALL = 20  # validation photos: with fewer, one mistake would refuse a model of two classes
FEW_OF_A_CLASS = 10  # validation photos: with fewer, a class is judged by its training photos, too

Counts = tuple[int, int]  # photos that are named right, and all


class _Recall(NamedTuple):
    label: str
    right: int
    photos: int
    trained_on: bool = False  # training photos are among them

    @property
    def value(self) -> float:
        return self.right / self.photos if self.photos else 0.0

    @property
    def low(self) -> float | None:
        """The lower end of the interval; None where every photo is right, against which nothing speaks."""
        if self.photos and self.right == self.photos:
            return None
        return proportion_interval(self.right, self.photos)[0] if self.photos else 0.0

    def reaches(self, limit: float) -> bool:
        return (self.value if self.low is None else self.low) >= limit

    def __str__(self) -> str:
        return f"{self.label}: {self.right} of {self.photos} photos{', training ones among them' * self.trained_on}"


def balanced_accuracy(said: Predictions, limit: float) -> Gate:
    """The mean of the classes' recalls.

    Its interval's lower end decides; with few photos in all, the figure itself must lie above the limit.
    """
    counts = [each for each in class_counts(said) if each[1]]
    value = float(np.mean([right / photos for right, photos in counts]))
    few = len(said.truth) < FEW_IN_ALL
    bound = None if value == 1 or (few and value > limit) else mean_interval(counts)[0]
    return Gate("balanced_accuracy", value, limit, "at least", bound, f"{len(said.truth)} photos")


def worst_recall(said: Predictions, limit: float, trained: Callable[[int], Counts]) -> Gate:
    """The recall of the class that is furthest from the limit.

    A class passes whose validation photos are all named right, or enough of them for the lower end of the interval to
    reach the limit. One with few validation photos has another chance: `trained` tells how many of its training
    photos are named right, and they are counted, too. They cannot show that the class will be recognised, but a model
    that does not even say it to these does not say it at all.
    """
    recalls = [_Recall(said.labels[index], *each) for index, each in enumerate(class_counts(said))]
    for index, recall in enumerate(recalls):
        if recall.photos < FEW_OF_A_CLASS and not recall.reaches(limit):
            right, photos = trained(index)
            recalls[index] = _Recall(recall.label, recall.right + right, recall.photos + photos, trained_on=True)
    worst = min(recalls, key=lambda recall: recall.value if recall.low is None else recall.low)
    return Gate("worst_recall", worst.value, limit, "at least", worst.low, str(worst))


def class_counts(said: Predictions) -> Sequence[Counts]:
    """Of each class the photos that are named right, and all."""
    right = np.bincount(said.truth[said.predicted == said.truth], minlength=len(said.labels))
    every = np.bincount(said.truth, minlength=len(said.labels))
    return list(zip(right.tolist(), every.tolist(), strict=True))
