"""Figures of the unknown class: what it costs photos of the labels, and which other things are answered all the same.

All are of held-out photos, as they are and as others publish them, and of thresholds that were set without the fold
that they judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.data.other.kinds import THINGS, kind_of
from training.evaluation.certain import HeldOut, certain_figures, copied_answers, plain_answers
from training.evaluation.figured import Figured, share_of_copies
from training.metrics.unknown import Answers, unknown_auroc

NO_KIND = "other"  # of photos whose path names none


class KindFigures(msgspec.Struct, frozen=True):
    """One kind of other things, and the share of its photos that are answered with certainty."""

    kind: str
    photos: int
    certain: Figured


class OpenSet(msgspec.Struct, frozen=True):
    """Shares 0..1 of one set of photos, as they are or altered copies.

    Of the labels' photos: how many are called unknown, how many are answered with certainty, and of these, how many are
    right. Of other things: how many are answered with certainty; `things` show one thing each, `kinds` are the others.
    """

    own_called_unknown: Figured
    own_certain: Figured
    right_if_certain: Figured
    things_certain: Figured
    kinds_certain: Figured
    kinds: list[KindFigures]


class KeptOut(msgspec.Struct, frozen=True):
    """Kinds that took no part in a training, and the share of their photos that are answered with certainty."""

    kinds: list[str]
    photos: int
    certain: Figured
    copies_certain: Figured


class UnknownFigures(msgspec.Struct, frozen=True):
    """All figures of the unknown class; thresholds are medians over the folds where there are folds.

    `own_called_unknown` is of photos as they are and their copies together; `auroc` of photos as they are.
    """

    threshold: float
    abstain: float
    own_photos: int
    other_photos: int
    auroc: float | None
    own_called_unknown: Figured
    as_they_are: OpenSet
    copies: OpenSet | None = None
    kept_out: list[KeptOut] = []


def unknown_figures(folds: Sequence[HeldOut]) -> UnknownFigures:
    """The figures of all folds' held-out photos."""
    paths = [path for fold in folds for path in fold.said.paths]
    own = np.concatenate([fold.own for fold in folds])
    thresholds = [fold.thresholds for fold in folds]
    plain, copies = plain_answers(folds), copied_answers(folds)
    aurocs = [each for fold in folds if (each := unknown_auroc(fold.said)) is not None]
    return UnknownFigures(
        threshold=float(np.median([each.unknown for each in thresholds])),
        abstain=float(np.median([each.abstain for each in thresholds])),
        own_photos=int(own.sum()),
        other_photos=int((~own).sum()),
        auroc=float(np.mean(aurocs)) if aurocs else None,
        own_called_unknown=_share([*plain, *copies], _unknown, own),
        as_they_are=_open_set(plain, own, paths),
        copies=_open_set(copies, own, paths) if copies else None,
    )


def kept_out_figures(folds: Sequence[HeldOut], kinds: Sequence[str]) -> KeptOut:
    """The figures of kinds that no fold was trained on."""
    paths = [path for fold in folds for path in fold.said.paths]
    rows = _are(paths, set(kinds)) & ~np.concatenate([fold.own for fold in folds])
    plain, copies = plain_answers(folds), copied_answers(folds)
    return KeptOut(
        list(kinds),
        int(rows.sum()),
        _share(plain, _certain, rows),
        _share(copies, _certain, rows),
    )


def _open_set(trials: Sequence[Answers], own: NDArray[np.bool_], paths: Sequence[str]) -> OpenSet:
    things = _are(paths, {THINGS})
    kinds = sorted({kind_of(path) or NO_KIND for path, mine in zip(paths, own.tolist(), strict=True) if not mine})
    shown = {kind: ~own & _are(paths, {kind}) for kind in kinds}
    certain = certain_figures(trials, own)
    return OpenSet(
        own_called_unknown=_share(trials, _unknown, own),
        own_certain=certain.answered,
        right_if_certain=certain.right,
        things_certain=_share(trials, _certain, ~own & things),
        kinds_certain=_share(trials, _certain, ~own & ~things),
        kinds=[KindFigures(kind, int(rows.sum()), _share(trials, _certain, rows)) for kind, rows in shown.items()],
    )


def _unknown(trial: Answers) -> NDArray[np.bool_]:
    return trial.unknown


def _certain(trial: Answers) -> NDArray[np.bool_]:
    return trial.certain


def _share(trials: Sequence[Answers], hit: Callable[[Answers], NDArray[np.bool_]], rows: NDArray[np.bool_]) -> Figured:
    """How many of the trials with the photos in `rows` are hits."""
    hits = np.stack([hit(trial)[rows] for trial in trials])
    return share_of_copies(hits.sum(axis=0), np.full(hits.shape[1], len(trials), np.int64))


def _are(paths: Sequence[str], kinds: set[str]) -> NDArray[np.bool_]:
    return np.array([(kind_of(path) or NO_KIND) in kinds for path in paths])
