"""Champion/challenger comparison: both answer the same validation photos, as they would be served."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from export.gates.taught_champion import Learned, said_unseen
from runtime.bundle.manifest import Bundle, Manifest
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus
from runtime.image import decode
from runtime.inference.backends import open_validated
from runtime.names import UNKNOWN
from training.data.dataset import Dataset, Photo
from training.metrics.intervals import paired_interval
from training.product import same_labels

TOLERANCE = 0.02  # of accuracy
ASKED = "it takes its place, as asked"
NOT_ASKED = "nothing asked for another product to serve, so what served before goes on"
BATCH = 16


class Verdict(msgspec.Struct, frozen=True):
    """Whether the challenger takes the champion's place, and why; accuracies are of the same photos."""

    promote: bool
    reason: str
    champion: str | None
    photos: int
    challenger_accuracy: float
    champion_accuracy: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


def compare(
    challenger: Bundle,
    champion: Bundle,
    dataset: Dataset,
    *,
    tolerance: float = TOLERANCE,
    replace: bool = False,
    learned: Learned = frozenset,
) -> Verdict:
    """Promote the challenger unless it is right on fewer photos by more than `tolerance` (a share of all, 0..1).

    A model of another product or of other labels is not compared: it takes the champion's place with `replace` alone.

    The difference of the accuracies has the interval of Agresti and Min (2005) for paired proportions, and the exact
    test of McNemar (1947) says how likely so uneven a split of the photos on which only one is right would be between
    equals. A champion that has seen some of the photos in its own training is flattered: the test errs on its side.
    One that was taught on an appliance has seen them all, and is taught anew without them where that is possible:
    `learned` returns the SHA-256 of the photos that it was taught from.
    """
    photos = _shown(dataset)
    truth = np.array([photo.label for photo in photos])
    ours = right(challenger, dataset) == truth
    if champion.manifest.version == challenger.manifest.version:
        return _unopposed(True, "it is the champion already", champion, ours)
    if other := _otherness(challenger.manifest, champion.manifest):
        return _unopposed(replace, f"{other}; {ASKED if replace else NOT_ASKED}", champion, ours)
    unseen = said_unseen(champion.manifest, dataset, photos, learned)
    theirs = (right(champion, dataset) if unseen is None else unseen) == truth
    verdict = paired(ours, theirs, champion.manifest.version, tolerance)
    if unseen is None:
        return verdict
    return msgspec.structs.replace(verdict, reason=f"{verdict.reason}; the champion was taught anew without them")


def paired(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], champion: str, tolerance: float) -> Verdict:
    """The verdict on two models that were right, or not, on the same N photos: `ours` and `theirs` are [N]."""
    photos = len(ours)
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    difference = (won - lost) / photos
    low, high = paired_interval(won, lost, photos)
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    promote = difference >= -tolerance
    reason = (
        f"right on {ours.mean():.1%} of {photos} photos, the champion {champion} on {theirs.mean():.1%}: "
        f"{difference:+.1%} ({low:+.1%} to {high:+.1%}), {'within' if promote else 'beyond'} the tolerance of "
        f"{tolerance:.1%}; McNemar p = {p_value:.2g}"
    )
    return Verdict(
        promote, reason, champion, photos, float(ours.mean()), float(theirs.mean()), difference, low, high, p_value
    )


def right(bundle: Bundle, dataset: Dataset) -> NDArray[np.str_]:
    """The label that a bundle gives to each validation photo of one, decoded and inferred as it is when it serves.

    It is the best of its labels, also where it would say that the photo shows none: of two models only one may know
    how to say that.
    """
    session = open_validated(bundle, threads=available_cpus()).session
    photos = _shown(dataset)
    labels: list[str] = []
    with progress(f"ask {bundle.manifest.version}", len(photos)) as advance:
        for start in range(0, len(photos), BATCH):
            part = photos[start : start + BATCH]
            pixels = np.stack([decode(dataset.read(photo), bundle.manifest.input) for photo in part])
            labels += _labels(session.infer(pixels).probabilities, bundle.manifest.labels)
            advance(len(part))
    return np.array(labels)


def _shown(dataset: Dataset) -> list[Photo]:
    """The validation photos that show one of the labels."""
    return [photo for photo in dataset.photos("validation") if photo.label != UNKNOWN]


def _labels(probabilities: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    return [names[index] for index in probabilities[:, : len(names)].argmax(axis=1)]


def _otherness(challenger: Manifest, champion: Manifest) -> str | None:
    """Why the two cannot be compared, in words; None where they can."""
    ours, theirs = (", ".join(manifest.labels) for manifest in (challenger, champion))
    if challenger.name != champion.name:
        return f"it is {challenger.name} ({ours}), and {champion.version} is {champion.name} ({theirs})"
    if not same_labels(challenger.labels, champion.labels):
        return f"it tells {ours}, and {champion.version} tells {theirs}"
    return None


def _unopposed(promote: bool, reason: str, champion: Bundle, ours: NDArray[np.bool_]) -> Verdict:
    return Verdict(
        promote, reason, champion.manifest.version, len(ours), float(ours.mean()), None, None, None, None, None
    )
