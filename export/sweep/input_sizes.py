"""Input-size sweep: cross-validated accuracy and latency of each size, FP32 and INT8 (a Pareto front)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.bundle.build import convert
from export.bundle.evidence import session_probabilities
from export.bundle.photos import calibration_rows
from runtime.bundle.manifest import FP32_MODEL, MODEL, Scores
from runtime.cli.progress import progress
from runtime.image import ImageSpec
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.names import UNKNOWN
from training.data.dataset import Dataset
from training.data.pixels import load_pixels, truth
from training.learning.crossvalidate import cross_validate, narrowed
from training.learning.size_choice import TOLERANCE
from training.metrics.scores import Predictions, pooled, predictions_from, score
from training.recipe import Recipe

TIMING_ROUNDS = 40


class SizeFigures(msgspec.Struct, frozen=True):
    """One input size, cross-validated: scores over all photos, each predicted by a network that has not seen it.

    Latencies are medians in ms of one photo in one thread, pixels to probabilities. `share` is that of the channels
    inside its blocks: 1 for ResNet18 itself, less for the narrow network made of it.
    """

    image_size: int
    fp32: Scores
    int8: Scores
    fold_accuracy: list[float]
    agreement: float
    fp32_ms: float
    int8_ms: float
    share: float = 1.0


class SweepResult(msgspec.Struct, frozen=True):
    """All sizes, and the one to ship."""

    dataset_sha256: str
    photos: int
    folds: int
    epochs: int
    seed: int
    sizes: list[SizeFigures]
    chosen: int


@dataclass(frozen=True)
class _SizeResult:
    """Held-out predictions fold by fold, and the last fold's models with one photo, for timing."""

    fp32: list[Predictions]
    int8: list[Predictions]
    sessions: list[tuple[OnnxruntimeSession, OnnxruntimeSession, NDArray[np.uint8]]]


def sweep(
    dataset: Dataset, recipe: Recipe, sizes: Sequence[int], count: int, cache: Path, *, share: float | None = None
) -> SweepResult:
    """Cross-validate `sizes` with `count` folds as FP32 and INT8, and time them side by side.

    With `share` each is also tried narrow (`training.learning.pruning`). Checkpoints are kept in the folder `cache`
    and used again for the same dataset and recipe.
    """
    variants = [(size, part) for part in (1.0, share) if part is not None for size in sizes]
    with tempfile.TemporaryDirectory() as folder:
        measured = [
            _cross_validate(dataset, replace(recipe, image_size=size), count, cache, Path(folder), part)
            for size, part in variants
        ]
        fp32_ms, int8_ms = _time_sessions([size.sessions for size in measured])
    figures = [
        SizeFigures(
            image_size=size,
            fp32=score(pooled(result.fp32)),
            int8=score(pooled(result.int8)),
            fold_accuracy=[score(part).accuracy for part in result.int8],
            agreement=float((pooled(result.fp32).predicted == pooled(result.int8).predicted).mean()),
            fp32_ms=fp32_ms[position],
            int8_ms=int8_ms[position],
            share=part,
        )
        for position, ((size, part), result) in enumerate(zip(variants, measured, strict=True))
    ]
    return SweepResult(
        dataset_sha256=dataset.manifest.sha256,
        photos=sum(photo.label != UNKNOWN for photo in dataset.photos()),
        folds=count,
        epochs=recipe.epochs,
        seed=recipe.seed,
        sizes=figures,
        chosen=choose(figures).image_size,
    )


def choose(figures: Sequence[SizeFigures]) -> SizeFigures:
    """The smallest size at which ResNet18's INT8 accuracy is within TOLERANCE of the best."""
    wide = [figure for figure in figures if figure.share == 1]
    best = max(figure.int8.accuracy for figure in wide)
    good = [figure for figure in wide if figure.int8.accuracy >= best - TOLERANCE - 1e-9]
    return min(good, key=lambda figure: figure.image_size)


def _cross_validate(
    dataset: Dataset, recipe: Recipe, count: int, cache: Path, folder: Path, share: float
) -> _SizeResult:
    size = recipe.image_size
    pixels, classes = load_pixels(dataset, size), truth(dataset)
    paths = [photo.path for photo in dataset.photos()]
    result = _SizeResult([], [], [])
    for fold, wide in cross_validate(dataset, recipe, count, cache=cache):
        checkpoint = wide if share == 1 else narrowed(dataset, fold, wide, share, cache)
        models = folder / f"{size}-{share}-{fold.number}"
        models.mkdir()
        calibration = calibration_rows(fold.train, classes, len(dataset.labels))
        convert(checkpoint, pixels[calibration], temperature=1.0, folder=models)
        sessions = [
            OnnxruntimeSession(models / name, ImageSpec(height=size, width=size), checkpoint.classes, threads=1)
            for name in (FP32_MODEL, MODEL)
        ]
        for session, parts in zip(sessions, (result.fp32, result.int8), strict=True):
            probabilities = session_probabilities(session, pixels[fold.held_out])
            held_out = [paths[row] for row in fold.held_out]
            parts.append(predictions_from(dataset.labels, held_out, classes[fold.held_out], probabilities).own)
        result.sessions[:] = [(sessions[0], sessions[1], pixels[:1].copy())]
    return result


def _time_sessions(
    sizes: list[list[tuple[OnnxruntimeSession, OnnxruntimeSession, NDArray[np.uint8]]]],
) -> tuple[list[float], list[float]]:
    """Medians in ms of every model, in turn, so that a slow moment of the machine meets all of them."""
    contenders = [(session, photo) for ((fp32, int8, photo),) in sizes for session in (fp32, int8)]
    samples: list[list[float]] = [[] for _ in contenders]
    with progress("time", TIMING_ROUNDS) as advance:
        for _ in range(TIMING_ROUNDS):
            for (session, photo), times in zip(contenders, samples, strict=True):
                began = time.perf_counter()
                session.infer(photo)
                times.append((time.perf_counter() - began) * 1000)
            advance()
    medians = [round(median(times[2:]), 3) for times in samples]
    return medians[0::2], medians[1::2]
