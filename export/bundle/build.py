"""Checkpoint to bundle: temperature scaling, ONNX export, INT8 quantisation, validation, manifest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from export.bundle.display import Shown
from export.bundle.evidence import Evidence, gather
from export.bundle.photos import Photos, load_photos
from export.channels.reorder import NeededSteps, reorder
from export.gates.quality_gates import Limits, require
from export.graph.quantise import quantise
from export.graph.serving_graph import ServingGraph, to_onnx
from runtime.bundle import manifest as bundle
from runtime.bundle.manifest import Bundle, Manifest
from runtime.host.cpu import available_cpus
from runtime.image import ImageSpec
from runtime.inference.golden_record import record_natively
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.registry.bundle_writer import describe_files, staged, write_manifest
from training.data.dataset import Dataset
from training.data.public import is_public
from training.learning.fit import predict_logits
from training.metrics.calibration import Calibration, Thresholds, fit_temperature, scaled
from training.metrics.priors import photo_weights
from training.model.checkpoint import Checkpoint
from training.product import product_name

NOTHING_SHOWN = Shown()

Say = Callable[[str], None]


def build(
    checkpoint: Checkpoint,
    dataset: Dataset,
    target: Path,
    *,
    limits: Limits,
    name: str | None = None,
    with_fp32: bool = True,
    mlflow_run: str | None = None,
    shown: Shown = NOTHING_SHOWN,
    calibration: Calibration | None = None,
    say: Say,
) -> Bundle:
    """Write the bundle `target`, whose last part is its version, and open it again, verified.

    `name` is that of the product; where it is not given, the labels decide (`training.product`). `calibration` is that
    of a cross-validation; where it is not given, the validation photos set temperature and thresholds.

    Raises CheckpointError where checkpoint and dataset do not belong together, GateError where the model does not
    pass, WriteError where the disk refuses; nothing is left at `target` then.
    """
    photos = load_photos(checkpoint, dataset, calibrated=calibration is not None)
    logits = predict_logits(checkpoint.network(), photos.validation)  # [N, C]
    temperature = calibration.temperature if calibration else _temperature(logits, photos, len(checkpoint.labels))
    with staged(target) as folder:
        say(f"convert at {checkpoint.image_size} px; INT8 calibrated on {len(photos.calibration)} training photos")
        say(str(convert(checkpoint, photos.calibration, temperature, folder)))
        say(f"prove on {len(photos.validation)} validation photos")
        evidence = _validate(
            folder,
            checkpoint,
            photos,
            scaled(logits, temperature),
            limits.for_data(public=is_public(dataset)),
            calibration.thresholds if calibration else None,
        )
        say(evidence.against_guessing)
        require(evidence.gates)
        if not with_fp32:
            (folder / bundle.FP32_MODEL).unlink()
        shown.write(folder)
        product = product_name(checkpoint.labels, asked=name)
        manifest = _manifest(evidence, checkpoint, dataset, temperature, product, target.name, mlflow_run)
        write_manifest(folder, msgspec.structs.replace(manifest, files=describe_files(folder), display=shown.display))
    return Bundle.open(target)


def convert(checkpoint: Checkpoint, calibration: NDArray[np.uint8], temperature: float, folder: Path) -> NeededSteps:
    """Write the INT8 model and its FP32 reference into `folder`; `calibration` holds training photos [N, H, W, 3].

    The channels of both are in the order that suits the native kernel; returned is what that gains.
    """
    fp32 = to_onnx(ServingGraph(checkpoint.network(), temperature), checkpoint.image_size)
    int8 = quantise(fp32, calibration)
    needed = reorder(int8, calibration, fp32)
    onnx.save(fp32, folder / bundle.FP32_MODEL)
    onnx.save(int8, folder / bundle.MODEL)
    return needed


def _temperature(logits: NDArray[np.float32], photos: Photos, labels: int) -> float:
    truth = photos.validation_truth
    return fit_temperature(logits, truth, photo_weights(truth, labels))


def _validate(
    folder: Path,
    checkpoint: Checkpoint,
    photos: Photos,
    expected: NDArray[np.float32],
    limits: Limits,
    thresholds: Thresholds | None,
) -> Evidence:
    spec = ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size)
    threads, classes = available_cpus(), checkpoint.classes
    evidence = gather(
        OnnxruntimeSession(folder / bundle.FP32_MODEL, spec, classes, threads=threads),
        OnnxruntimeSession(folder / bundle.MODEL, spec, classes, threads=threads, exact=True),
        checkpoint,
        expected,
        photos,
        limits,
        thresholds=thresholds,
    )
    golden = record_natively(evidence.golden, folder / bundle.MODEL, spec, classes, threads=threads)
    return evidence._replace(golden=golden)


def _manifest(
    evidence: Evidence,
    checkpoint: Checkpoint,
    dataset: Dataset,
    temperature: float,
    name: str,
    version: str,
    mlflow_run: str | None,
) -> Manifest:
    train, validation = (len(dataset.photos(split)) for split in ("train", "validation"))
    return Manifest(
        schema_version=bundle.UNKNOWN_SCHEMA_VERSION if evidence.unknown else bundle.SCHEMA_VERSION,
        name=name,
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
        unknown=evidence.unknown,
    )
