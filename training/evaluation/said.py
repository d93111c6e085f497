"""What an evaluation says at a terminal, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.republished import Republished
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
