"""Advice: what to do next, in plain words, what matters most first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from training.inspection.findings import FEW_DIFFERENT, LEAST_DIFFERENT, Findings

_UNEVEN = 4  # times as many photos as the smallest class
_WORTH_IT = 0.01  # of accuracy, for which more photos are worth taking
_CONFUSED = 0.1  # of a class
_NAMED = 4  # things in one sentence


class Advice(NamedTuple):
    """One thing to do: a short line for the terminal, more of it for the page, and the part of the page about it."""

    short: str
    more: str
    part: str


def advice_on(findings: Findings) -> list[Advice]:
    """All advice, or that nothing stands out."""
    found = [*_on_files(findings), *_on_classes(findings), *_on_labels(findings), *_on_numbers(findings)]
    return found or [Advice("Nothing stands out: train", "The folder is clean as far as can be seen.", "classes")]


def _on_files(findings: Findings) -> Iterator[Advice]:
    survey = findings.survey
    if survey.contradictions:
        yield Advice(
            f"{_count(len(survey.contradictions), 'picture')} under two classes: decide which is right",
            "Neither copy is trained on, since nobody can say which label is right. Delete the wrong one.",
            "across",
        )
    if across := [pair for pair in survey.pairs if pair.across]:
        yield Advice(
            f"{_count(len(across), 'pair')} of nearly the same picture under two classes: check the labels",
            "One is cut out of the other, or changed. Both are trained on, each with its own label: "
            "delete or move what is wrong.",
            "across",
        )
    if survey.left_out:
        yield Advice(
            f"{_count(len(survey.left_out), 'file')} left out: see why",
            "They are broken, tiny, doubled or contradictory. What you do not mend is not trained on.",
            "left-out",
        )


def _on_classes(findings: Findings) -> Iterator[Advice]:
    classes = findings.classes
    if len(classes) < 2:
        yield Advice("Only one class: add another", "A classifier tells classes apart; it needs two.", "classes")
    if small := [one for one in classes if one.different < LEAST_DIFFERENT]:
        yield Advice(
            f"Too small to train on: {_names([f'{one.label} ({one.different})' for one in small])}",
            f"A class needs {LEAST_DIFFERENT} different photos at least; near-duplicates count once. "
            "Add photos, or remove the folder.",
            "classes",
        )
    if few := [one for one in classes if LEAST_DIFFERENT <= one.different < FEW_DIFFERENT]:
        yield Advice(
            f"Few photos: {_names([f'{one.label} ({one.different})' for one in few])}",
            f"Below {FEW_DIFFERENT} different photos neither training nor its figures can be relied on.",
            "classes",
        )
    numbers = [one.different for one in classes if one.different]
    if numbers and max(numbers) > _UNEVEN * min(numbers):
        smallest = min(classes, key=lambda one: one.different or max(numbers))
        yield Advice(
            f"Uneven: the largest class has {max(numbers)} different photos, {smallest.label} {min(numbers)}",
            "Add to the small classes first: that is where a photo helps most.",
            "classes",
        )


def _on_labels(findings: Findings) -> Iterator[Advice]:
    model = findings.model
    if model is None:
        yield Advice(
            f"Labels, confusion and numbers are not checked: {findings.without_model}",
            "Everything else on this page holds.",
            "labels",
        )
        return
    if model.suspects:
        yield Advice(
            f"{_count(len(model.suspects), 'photo')} may be under the wrong label: look at them",
            "Move what is wrong to the right folder. What is right but unusual is worth keeping.",
            "labels",
        )
    worst = [one for one in model.confused if one.share >= _CONFUSED and one.photos > 1][:_NAMED]
    if worst:
        yield Advice(
            f"Often confused: {_names([f'{one.label} for {one.said}' for one in worst])}",
            "Add photos that show the difference, or make them one class if the difference does not matter to you.",
            "confusion",
        )


def _on_numbers(findings: Findings) -> Iterator[Advice]:
    curve = findings.model.curve if findings.model else None
    if curve is None:
        return
    now, twice = curve.measured[-1], curve.twice
    then = f"about {twice.accuracy:.1%}" if twice.accuracy > now.accuracy else "no more"
    figures = f"{now.accuracy:.1%} now, {then} with twice as many"
    if curve.gain[0] >= _WORTH_IT:
        yield Advice(f"More photos will help: {figures}", "The curve still rises.", "enough")
    else:
        yield Advice(
            f"More of the same will change little: {figures}",
            "Right labels, and photos of the kinds that are confused, will help more than sheer number.",
            "enough",
        )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _names(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
