"""Checkpoint to bundle: temperature scaling, ONNX export, INT8 quantisation, validation, manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from export.bundle_writer import describe_files, staged, write_manifest
from export.calibration import fit_temperature
from export.display import Shown
from export.evidence import Evidence, gather
from export.gates import Limits, require
from export.graph import ServingGraph, to_onnx
from export.quantise import quantise
from runtime.bundle import manifest as bundle
from runtime.bundle.manifest import Bundle, Manifest
from runtime.host.cpu import available_cpus
from runtime.image import ImageSpec
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from training.data.dataset import Dataset
from training.data.pixels import load_pixels, truth
from training.learning.fit import predict_logits
from training.model.checkpoint import Checkpoint

NAME = "dandelion-classifier"
CALIBRATION_PHOTOS = 128

NOTHING_SHOWN = Shown()

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
    shown: Shown = NOTHING_SHOWN,
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
        evidence = _validate(folder, checkpoint, photos, temperature, limits)
        require(evidence.gates)
        if not with_fp32:
            (folder / bundle.FP32_MODEL).unlink()
        shown.write(folder)
        manifest = _manifest(evidence, checkpoint, dataset, temperature, target.name, mlflow_run)
        write_manifest(folder, msgspec.structs.replace(manifest, files=describe_files(folder), display=shown.display))
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


def convert(checkpoint: Checkpoint, calibration: NDArray[np.uint8], temperature: float, folder: Path) -> None:
    """Write the INT8 model and its FP32 reference into `folder`; `calibration` holds training photos [N, H, W, 3]."""
    fp32 = to_onnx(ServingGraph(checkpoint.network(), temperature), checkpoint.image_size)
    onnx.save(fp32, folder / bundle.FP32_MODEL)
    onnx.save(quantise(fp32, calibration), folder / bundle.MODEL)


def _validate(folder: Path, checkpoint: Checkpoint, photos: Photos, temperature: float, limits: Limits) -> Evidence:
    spec = ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size)
    threads, classes = available_cpus(), len(checkpoint.labels)
    return gather(
        OnnxruntimeSession(folder / bundle.FP32_MODEL, spec, classes, threads=threads),
        OnnxruntimeSession(folder / bundle.MODEL, spec, classes, threads=threads, exact=True),
        checkpoint,
        temperature,
        photos.validation,
        photos.validation_paths,
        photos.validation_truth,
        limits,
    )


def _manifest(
    evidence: Evidence,
    checkpoint: Checkpoint,
    dataset: Dataset,
    temperature: float,
    version: str,
    mlflow_run: str | None,
) -> Manifest:
    train, validation = (len(dataset.photos(split)) for split in ("train", "validation"))
    return Manifest(
        schema_version=bundle.SCHEMA_VERSION,
        name=NAME,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=checkpoint.labels,
        input=ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size),
        temperature=temperature,
        abstain_threshold=evidence.abstain_threshold,
        metrics=evidence.metrics,
        gates=evidence.gates,
        dataset=bundle.TrainingData(dataset.manifest.sha256, train, validation),
        weights=checkpoint.weights if checkpoint.widths is None else f"{checkpoint.weights}, narrowed",
        epochs=checkpoint.epochs,
        seed=checkpoint.seed,
        git_commit=checkpoint.git_commit,
        mlflow_run=mlflow_run,
        golden=evidence.golden,
        reference=evidence.reference,
        files={},
    )
