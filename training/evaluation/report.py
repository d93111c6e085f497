"""Evaluation report: one HTML file, the same figures as JSON, the plots as images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import msgspec
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from runtime.bundle.manifest import Scores
from runtime.host.atomic import whole_file
from runtime.inference.scores import mean_over_classes
from training.evaluation.certain import HeldOut, certain, coverage_plot
from training.evaluation.figured import Figured, proportion
from training.evaluation.open_set import UnknownFigures
from training.evaluation.plots import evaluation_plots as plots
from training.evaluation.plots.axes import as_svg
from training.evaluation.plots.open_set_plot import unknown_plot
from training.evaluation.republished import Republished
from training.evaluation.thumbnails import thumbnail
from training.learning.history import EpochFigures
from training.learning.size_choice import SizeChoice
from training.metrics.calibration import Calibration, Thresholds
from training.metrics.guessing import most_common
from training.metrics.intervals import Interval, bootstrap_interval, proportion_interval
from training.metrics.scores import Predictions, equal_mass_error, score
from training.metrics.unknown import answers

TEMPLATES = Path(__file__).parent / "templates"
MOST_MISTAKES = 24
MOST_DOUBTS = 8
EQUAL_MASS_PHOTOS = 500  # with fewer, chance alone makes an error of several points


class ClassFigures(msgspec.Struct, frozen=True):
    """One class, against the rest."""

    label: str
    photos: int
    precision: Figured
    recall: Figured
    f1: Figured


class Served(msgspec.Struct, frozen=True):
    """What users will meet: answers below `threshold` are uncertain; of the others `answered_precision` are right."""

    temperature: float
    threshold: float
    answered: float
    answered_precision: float


class Evaluation(msgspec.Struct, frozen=True):
    """`metrics.json`: every figure of the report; precision, recall and F1 are means over the classes.

    So recall is also the balanced accuracy. `confidence` is the mean over all answers, which an honest model has as
    high as its accuracy; `equal_mass_error` is None for fewer photos than it takes. `served` are temperature,
    threshold and how many answers are sure, as the bundle will have them but for INT8; None where not calibrated. All
    of that is of photos of the labels; `unknown` has the figures of the unknown class, None for a model without it.
    """

    photos: int
    accuracy: Figured
    precision: Figured
    recall: Figured
    f1: Figured
    log_loss: float
    calibration_error: float
    classes: list[ClassFigures]
    confusion: list[list[int]]
    folds: list[Scores] | None
    confidence: float | None = None
    equal_mass_error: float | None = None
    majority: float | None = None
    served: Served | None = None
    republished: Republished | None = None
    unknown: UnknownFigures | None = None


class _Shown(msgspec.Struct, frozen=True):
    """One photo of the gallery."""

    path: str
    truth: str
    predicted: str
    confidence: float
    uncertain: bool
    unknown: bool
    picture: str | None


class OpenSetReport(NamedTuple):
    """The figures of the unknown class, and what was said of photos of the labels and of other things."""

    figures: UnknownFigures
    said: Predictions

    @property
    def thresholds(self) -> Thresholds:
        """Those of the figures."""
        return Thresholds(self.figures.abstain, self.figures.threshold)


class Copies(NamedTuple):
    """Figures on altered copies of the photos, and a picture of each kind as a data URI, None if it has none."""

    figures: Republished
    examples: Mapping[str, str | None]


def write_report(
    folder: Path,
    *,
    title: str,
    predictions: Predictions,
    photo_bytes: Callable[[str], bytes],
    facts: Mapping[str, str],
    history: Sequence[EpochFigures] | None,
    folds: Sequence[Scores] | None,
    sizes: SizeChoice | None = None,
    calibration: Calibration | None = None,
    held_out: Sequence[HeldOut] = (),
    copies: Copies | None = None,
    unknown: OpenSetReport | None = None,
) -> Path:
    """Write `report.html`, `metrics.json` and the plots as PNG into `folder`; returns the HTML file's path.

    `photo_bytes` gives the encoded photo of one of the predictions' paths; `facts` are shown as they are;
    `sizes` is how the input size was chosen, where it was not given; `calibration` is what made the probabilities;
    `held_out` is what was answered with it; `copies` are those of cross-validation; `unknown` is about the unknown
    class, if the model has one. `predictions` are of photos of the labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = evaluate(predictions, folds, calibration)
    if copies:
        evaluation = msgspec.structs.replace(evaluation, republished=copies.figures)
    if unknown:
        evaluation = msgspec.structs.replace(evaluation, unknown=unknown.figures)
    thresholds = calibration.thresholds if calibration else Thresholds(0.0)
    (folder / "metrics.json").write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=2) + b"\n")
    figures = _figures(predictions, history, folds)
    if held_out:
        figures["coverage"] = coverage_plot(held_out, thresholds)
    if unknown:
        figures["unknown"] = unknown_plot(unknown.said, unknown.figures.threshold)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        title=title,
        evaluation=evaluation,
        facts=facts,
        sizes=sizes,
        copies=copies,
        certain=certain(held_out) if held_out else None,
        pictures={name: as_svg(figure) for name, figure in figures.items()},
        mistakes=_gallery(predictions, photo_bytes, _worst_mistakes(predictions), thresholds),
        doubts=_gallery(predictions, photo_bytes, _closest_calls(predictions), thresholds),
        taken_for_known=_taken_for_known(unknown, photo_bytes),
        mistake_count=int((predictions.predicted != predictions.truth).sum()),
    )
    file = folder / "report.html"
    with whole_file(file) as part:
        part.write_text(html, encoding="utf-8")
    return file


def evaluate(
    predictions: Predictions, folds: Sequence[Scores] | None = None, calibration: Calibration | None = None
) -> Evaluation:
    """Every figure of the report, with its interval."""
    scores = score(predictions)
    right = int((predictions.predicted == predictions.truth).sum())
    classes = range(len(predictions.labels))

    def averaged(position: int) -> Interval:
        return bootstrap_interval(
            predictions, lambda truth, said: mean_over_classes(truth, said, len(classes))[position]
        )

    return Evaluation(
        photos=len(predictions.truth),
        accuracy=Figured(scores.accuracy, *proportion_interval(right, len(predictions.truth))),
        precision=Figured(scores.precision, *averaged(0)),
        recall=Figured(scores.recall, *averaged(1)),
        f1=Figured(scores.f1, *averaged(2)),
        log_loss=scores.log_loss,
        calibration_error=scores.calibration_error,
        classes=[_class_figures(predictions, index) for index in classes],
        confusion=confusion_matrix(predictions.truth, predictions.predicted, labels=classes).tolist(),
        folds=None if folds is None else list(folds),
        confidence=float(predictions.confidence.mean()),
        equal_mass_error=equal_mass_error(predictions) if len(predictions.truth) >= EQUAL_MASS_PHOTOS else None,
        majority=most_common(predictions)[1],
        served=None if calibration is None else _served(predictions, calibration),
    )


def _served(predictions: Predictions, calibration: Calibration) -> Served:
    said = answers(predictions, calibration.thresholds)
    right = said.right[said.certain]
    return Served(
        temperature=calibration.temperature,
        threshold=calibration.threshold,
        answered=float(said.certain.mean()),
        answered_precision=float(right.mean()) if said.certain.any() else 1.0,
    )


def _class_figures(predictions: Predictions, index: int) -> ClassFigures:
    is_it, said_so = predictions.truth == index, predictions.predicted == index
    hits = int((is_it & said_so).sum())
    present, claimed = int(is_it.sum()), int(said_so.sum())
    f1 = 2 * hits / (present + claimed) if present + claimed else 0.0

    def f1_of(truth: Any, predicted: Any) -> float:
        found = int(((truth == index) & (predicted == index)).sum())
        either = int((truth == index).sum() + (predicted == index).sum())
        return 2 * found / either if either else 0.0

    return ClassFigures(
        label=predictions.labels[index],
        photos=present,
        precision=proportion(hits, claimed),
        recall=proportion(hits, present),
        f1=Figured(f1, *bootstrap_interval(predictions, f1_of)),
    )


def _figures(
    predictions: Predictions, history: Sequence[EpochFigures] | None, folds: Sequence[Scores] | None
) -> dict[str, Figure]:
    figures = {
        "confusion": plots.confusion_plot(predictions),
        "reliability": plots.reliability_plot(predictions),
        "roc_pr": plots.threshold_plots(predictions),
    }
    if history:
        figures["curves"] = plots.curves_plot(history)
    if folds:
        figures["folds"] = plots.folds_plot(folds)
    return figures


def _worst_mistakes(predictions: Predictions) -> list[int]:
    wrong = np.flatnonzero(predictions.predicted != predictions.truth)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return [int(row) for row in wrong[order][:MOST_MISTAKES]]


def _closest_calls(predictions: Predictions) -> list[int]:
    right = np.flatnonzero(predictions.predicted == predictions.truth)
    order = np.argsort(predictions.confidence[right], kind="stable")
    return [int(row) for row in right[order][:MOST_DOUBTS]]


def _taken_for_known(unknown: OpenSetReport | None, photo_bytes: Callable[[str], bytes]) -> list[_Shown]:
    """Photos of other things that get a label, the most confident first."""
    if unknown is None:
        return []
    said = unknown.said.others
    confidence = said.joint.max(axis=1)
    taken = np.flatnonzero(~answers(said, unknown.thresholds).unknown)
    worst = taken[np.argsort(-confidence[taken], kind="stable")][:MOST_MISTAKES]
    return _gallery(said, photo_bytes, worst.tolist(), unknown.thresholds)


def _gallery(
    predictions: Predictions, photo_bytes: Callable[[str], bytes], rows: Sequence[int], thresholds: Thresholds
) -> list[_Shown]:
    names = [*predictions.labels, "none of these"]
    confidence, said = predictions.joint.max(axis=1), answers(predictions, thresholds)
    return [
        _Shown(
            path=predictions.paths[row],
            truth=names[predictions.truth[row]],
            predicted=predictions.labels[predictions.predicted[row]],
            confidence=float(confidence[row]),
            uncertain=bool(not said.unknown[row] and not said.certain[row]),
            unknown=bool(said.unknown[row]),
            picture=thumbnail(photo_bytes(predictions.paths[row])),
        )
        for row in rows
    ]
