"""What an evaluation says at a terminal, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.other.kinds import THINGS
from training.evaluation.certain import Certain
from training.evaluation.open_set import UnknownFigures
from training.evaluation.republished import Republished
from training.learning.cross_calibration import CrossCalibration
from training.metrics.guessing import against_guessing
from training.metrics.scores import Predictions, pooled, score


def validation_lines(said: Predictions) -> list[str]:
    """The figures of one checkpoint on its validation photos."""
    scores = score(said)
    return [
        f"accuracy {scores.accuracy:.4f}, F1 {scores.f1:.4f} on {len(said.truth)} photos",
        against_guessing(said),
    ]


def fold_lines(parts: Sequence[Predictions], copies: Republished) -> list[str]:
    """The figures of each fold, of all, and of altered copies."""
    each = [score(part) for part in parts]
    lines = [
        f"fold {number}: accuracy {scores.accuracy:.4f}, F1 {scores.f1:.4f}"
        for number, scores in enumerate(each, start=1)
    ]
    accuracy, f1 = (sum(getattr(scores, name) for scores in each) / len(each) for name in ("accuracy", "f1"))
    together = score(pooled(parts))
    return [
        *lines,
        f"mean of {len(each)} folds: accuracy {accuracy:.4f}, F1 {f1:.4f}",
        f"all photos: accuracy {together.accuracy:.4f}, F1 {together.f1:.4f}",
        f"as others publish them: accuracy {copies.accuracy:.4f} ({copies.low:.4f} to {copies.high:.4f}), "
        + ", ".join(f"{kind.kind} {kind.accuracy:.4f}" for kind in copies.kinds),
        f"mean confidence {pooled(parts).confidence.mean():.4f}, calibrated for each fold on the others",
    ]


def certain_lines(figures: Certain, calibration: CrossCalibration) -> list[str]:
    """How often an answer is certain, and right then, of held-out photos; and what a bundle is calibrated with."""
    lines = [
        f"{name}: {shown.answered} of own photos answered with certainty, {shown.right} of these right"
        for name, shown in (("as they are", figures.as_they_are), ("altered copies", figures.copies))
        if shown
    ]
    unknown = "" if calibration.unknown is None else f", unknown from {calibration.unknown:.3f}"
    return [
        *lines,
        f"for a bundle, from all folds: temperature {calibration.temperature:.3f}, uncertain below "
        f"{calibration.abstain:.3f}{unknown}",
    ]


def unknown_lines(figures: UnknownFigures) -> list[str]:
    """The figures for a terminal."""
    lines = [
        f"own photos called unknown, altered copies among them: {figures.own_called_unknown}; "
        f"threshold {figures.threshold:.3f}, uncertain below {figures.abstain:.3f}"
    ]
    for name, shown in (("as they are", figures.as_they_are), ("altered copies", figures.copies)):
        if shown is None:
            continue
        lines += [
            f"{name}: {shown.own_called_unknown} of own photos called unknown",
            f"{name}: answered with certainty of other things {shown.things_certain}, of kinds {shown.kinds_certain}: "
            + ", ".join(f"{kind.kind} {kind.certain.value:.1%}" for kind in shown.kinds if kind.kind != THINGS),
        ]
    lines += [
        f"kinds not trained on ({', '.join(group.kinds)}): answered with certainty {group.certain}, of altered copies "
        f"{group.copies_certain}"
        for group in figures.kept_out
    ]
    return lines
