"""Classification metrics: accuracy, precision, recall, F1, log loss, calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from runtime.bundle.manifest import Scores
from runtime.inference.scores import calibration_error, mean_over_classes


@dataclass(frozen=True)
class Predictions:
    """What a model says of N photos: `truth` [N] holds class indices, `probabilities` [N, C] one row a photo.

    Of a model with an unknown class, `unknown` [N] is its probability, and `probabilities` those of the labels if the
    photo shows one of them; the `truth` of a photo of other things is C.
    """

    labels: Sequence[str]
    paths: Sequence[str]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    unknown: NDArray[np.float32] | None = None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each photo, [N]."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return best

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class, [N]."""
        highest: NDArray[np.float32] = self.probabilities.max(axis=1)
        return highest

    @property
    def joint(self) -> NDArray[np.float32]:
        """The probabilities of the labels [N, C] as they are served: they and the unknown class's add up to 1."""
        if self.unknown is None:
            return self.probabilities
        joint: NDArray[np.float32] = self.probabilities * (1 - self.unknown[:, np.newaxis])
        return joint

    @property
    def own(self) -> Predictions:
        """Those of photos of the labels."""
        return self if self.unknown is None else self.only(self.truth < len(self.labels))

    @property
    def others(self) -> Predictions:
        """Those of photos of other things."""
        return self.only(self.truth >= len(self.labels))

    def only(self, rows: NDArray[np.bool_]) -> Predictions:
        """Those of some photos, [N]."""
        return Predictions(
            self.labels,
            [path for path, kept in zip(self.paths, rows.tolist(), strict=True) if kept],
            self.truth[rows],
            self.probabilities[rows],
            None if self.unknown is None else self.unknown[rows],
        )


def predictions_from(
    labels: Sequence[str], paths: Sequence[str], truth: NDArray[np.int64], outputs: NDArray[np.float32]
) -> Predictions:
    """Predictions from a network's probabilities `outputs` [N, C], or [N, C + 1] with the unknown class last."""
    if outputs.shape[1] == len(labels):
        return Predictions(labels, paths, truth, outputs)
    own = outputs[:, :-1]
    # Where nothing is left for the labels, none of them is more probable than another.
    least = np.finfo(np.float32).tiny
    among = (own + least) / (own + least).sum(axis=1, keepdims=True)
    return Predictions(labels, paths, truth, among.astype(np.float32), outputs[:, -1])


def score(predictions: Predictions) -> Scores:
    """Accuracy, and precision, recall and F1 as means over the classes; log loss in nats; calibration error."""
    classes = np.arange(len(predictions.labels))
    probabilities = predictions.probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 only nearly
    precision, recall, f1 = mean_over_classes(predictions.truth, predictions.predicted, len(predictions.labels))
    return Scores(
        accuracy=float((predictions.predicted == predictions.truth).mean()),
        precision=precision,
        recall=recall,
        f1=f1,
        log_loss=float(log_loss(predictions.truth, probabilities, labels=classes)),
        calibration_error=calibration_error(predictions.confidence, predictions.predicted == predictions.truth),
    )


def equal_mass_error(predictions: Predictions, bins: int = 15) -> float:
    """Expected calibration error over bins of equally many photos (Nixon et al. 2019, arXiv:1904.01685), 0..1.

    Equal-width bins of a good model are empty but for the last; these never are. With fewer than about 500 photos
    chance alone makes several points of it.
    """
    order = np.argsort(predictions.confidence, kind="stable")
    right = (predictions.predicted == predictions.truth)[order].astype(float)
    gaps = right - predictions.confidence[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps))


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """All folds' held-out predictions as one: each photo is predicted once, by a network that has not seen it."""
    unknown = [part.unknown for part in parts if part.unknown is not None]
    return Predictions(
        parts[0].labels,
        [path for part in parts for path in part.paths],
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate(unknown) if unknown else None,
    )
