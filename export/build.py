"""Checkpoint to bundle: convert, calibrate, prove, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.calibration import abstain_threshold, fit_temperature
from export.convert import convert, session_probabilities
from export.gates import Limits, measure, parity, require
from export.golden import record_golden
from export.reference import reference_of
from export.write import describe_files, staged, write_manifest
from runtime import bundle
from runtime.bundle import Bundle, Manifest, Metrics
from runtime.cpu import available_cpus
from runtime.image import ImageSpec
from runtime.session import Session
from training.checkpoint import Checkpoint
from training.dataset import Dataset
from training.fit import predict_logits
from training.pixels import load_pixels, truth
from training.scores import Predictions, score

NAME = "dandelion-classifier"
CALIBRATION_PHOTOS = 128

Say = Callable[[str], None]


@dataclass(frozen=True)
class Photos:
    """The photos that a build needs, at the checkpoint's size: pixels are [N, size, size, 3], truth is [N]."""

    calibration: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    validation_paths: list[str]
    validation_truth: NDArray[np.int64]


def build(
    checkpoint: Checkpoint,
    dataset: Dataset,
    target: Path,
    *,
    limits: Limits,
    with_fp32: bool = True,
    mlflow_run: str | None = None,
    say: Say,
) -> Bundle:
    """Write the bundle `target`, whose last part is its version, and open it again, verified.

    Raises CheckpointError where checkpoint and dataset do not belong together, GateError where the model does not
    pass, WriteError where the disk refuses; nothing is left at `target` then.
    """
    photos = load_photos(checkpoint, dataset)
    temperature = fit_temperature(predict_logits(checkpoint.network(), photos.validation), photos.validation_truth)
    with staged(target) as folder:
        say(f"convert at {checkpoint.image_size} px; INT8 calibrated on {len(photos.calibration)} training photos")
        convert(checkpoint, photos.calibration, temperature, folder)
        say(f"prove on {len(photos.validation)} validation photos")
        manifest = _prove(folder, checkpoint, dataset, photos, temperature, target.name, limits, mlflow_run)
        require(manifest.gates)
        if not with_fp32:
            (folder / bundle.FP32_MODEL).unlink()
        write_manifest(folder, msgspec.structs.replace(manifest, files=describe_files(folder)))
    return Bundle.open(target)


def load_photos(checkpoint: Checkpoint, dataset: Dataset) -> Photos:
    """Decode the dataset's photos for a checkpoint; raises CheckpointError where the two do not belong together."""
    checkpoint.require_dataset(dataset.labels, dataset.manifest.sha256)
    pixels = load_pixels(dataset, checkpoint.image_size)
    splits = np.array([photo.split for photo in dataset.photos()])
    validation = np.flatnonzero(splits == "validation")
    # Training photos: validation ones would flatter the INT8 figures.
    calibration = spread(np.flatnonzero(splits == "train"), CALIBRATION_PHOTOS)
    return Photos(
        calibration=pixels[calibration],
        validation=pixels[validation],
        validation_paths=[dataset.photos()[index].path for index in validation],
        validation_truth=truth(dataset)[validation],
    )


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly spaced: a manifest is sorted by class, so every class is met."""
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return chosen


def _prove(
    folder: Path,
    checkpoint: Checkpoint,
    dataset: Dataset,
    photos: Photos,
    temperature: float,
    version: str,
    limits: Limits,
    mlflow_run: str | None,
) -> Manifest:
    spec = ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size)
    threads = available_cpus()
    fp32 = Session(folder / bundle.FP32_MODEL, spec, len(checkpoint.labels), threads=threads)
    # Exact: what a CPU without VNNI makes of it must not be recorded.
    int8 = Session(folder / bundle.MODEL, spec, len(checkpoint.labels), threads=threads, exact=True)

    def predict(session: Session) -> Predictions:
        probabilities = session_probabilities(session, photos.validation)
        return Predictions(checkpoint.labels, photos.validation_paths, photos.validation_truth, probabilities)

    says_fp32, says_int8 = predict(fp32), predict(int8)
    golden = record_golden(fp32, int8, spec)
    gates = measure(
        parity=parity(checkpoint, temperature, fp32, photos.validation),
        fp32=says_fp32,
        int8=says_int8,
        wide_accuracy=checkpoint.wide_accuracy,
        limits=limits,
    )
    threshold = abstain_threshold(says_int8.probabilities, says_int8.truth, limits.answered_precision)
    answered = says_int8.confidence >= threshold
    right = says_int8.predicted == says_int8.truth
    train, validation = (len(dataset.photos(split)) for split in ("train", "validation"))
    return Manifest(
        schema_version=bundle.SCHEMA_VERSION,
        name=NAME,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=checkpoint.labels,
        input=spec,
        temperature=temperature,
        abstain_threshold=threshold,
        metrics=Metrics(
            photos=len(photos.validation),
            fp32=score(says_fp32),
            int8=score(says_int8),
            agreement=float((says_fp32.predicted == says_int8.predicted).mean()),
            answered=float(answered.mean()),
            answered_precision=float(right[answered].mean()) if answered.any() else 1.0,
        ),
        gates=gates,
        dataset=bundle.Dataset(dataset.manifest.sha256, train, validation),
        weights=checkpoint.weights if checkpoint.widths is None else f"{checkpoint.weights}, narrowed",
        epochs=checkpoint.epochs,
        seed=checkpoint.seed,
        git_commit=checkpoint.git_commit,
        mlflow_run=mlflow_run,
        golden=golden,
        reference=reference_of(says_int8, photos.validation),
        files={},
    )
