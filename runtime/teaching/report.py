"""The report of a taught model: how good it is by cross-validation, and what would make it better."""

from __future__ import annotations

import msgspec

Interval = tuple[float, float]


class _Record(msgspec.Struct, frozen=True):
    """Fractions are 0..1, intervals are of 95 %; of near copies they count one, since more of them tell nothing new."""


class ClassReport(_Record, frozen=True):
    """One class: its photos, and the share of them that is recognised by a model which has not seen them.

    `next_ten` is by how much ten more photos of this class would probably raise the accuracy, where each class counts
    alike; None if it cannot be told yet.
    """

    label: str
    photos: int
    recall: float
    interval: Interval
    next_ten: float | None = None


class Confusion(_Record, frozen=True):
    """Photos of the class `truth` that are taken for the class `predicted`."""

    truth: str
    predicted: str
    photos: int


class Doubtful(_Record, frozen=True):
    """A photo that spoils the model, or is under the wrong label: the others speak against its label.

    `probability` is that of its label, `suggestion` the label that the others speak for; None is none of the labels.
    """

    photo: str
    label: str
    suggestion: str | None
    probability: float


class Report(_Record, frozen=True):
    """Figures of a `folds`-fold cross-validation over `photos` photos, as they are served.

    `accuracy` is among the labels, whatever the thresholds. `answered` is the share of the photos that get a label with
    certainty, `answered_precision` how many of those labels are right; `called_unknown` is the share of the photos that
    are said to be of none of the classes; the thresholds are those that the photos of the other folds ask for.
    `doubtful` comes worst first, those that speak for none of the labels last; `confused` most frequent first.
    """

    photos: int
    folds: int
    accuracy: float
    interval: Interval
    balanced_accuracy: float
    answered: float
    answered_precision: float
    called_unknown: float
    classes: list[ClassReport]
    confused: list[Confusion]
    doubtful: list[Doubtful]
