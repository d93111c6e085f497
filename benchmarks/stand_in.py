"""A bundle of random weights at any input size: the same arithmetic, so the same speed; its answers mean nothing."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from runtime import bundle
from runtime.bundle import Dataset, GoldenCase, Manifest, Metrics, Reference, Scores, describe_file, to_json
from runtime.golden import PATTERNS, draw
from runtime.image import ImageSpec
from runtime.session import Session

CALIBRATION_PHOTOS = 10
BINS = 10
RANDOM = "random"  # what the manifest calls the weights


def stand_in(image_size: int, labels: Sequence[str], folder: Path) -> Path:
    """The folder of a bundle for photos of `image_size` px a side; made in `folder` where it is not there yet.

    The graph and its quantisation are those of `python -m export build`. The golden cases record what the INT8 model
    itself says here, so it is no proof of right answers.
    """
    made = folder / f"random-{image_size}px-{len(labels)}"
    if (made / bundle.MANIFEST).exists():
        return made
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    _write_models(image_size, len(labels), made)
    (made / bundle.MANIFEST).write_bytes(to_json(_manifest(image_size, labels, made)))
    return made


def _write_models(image_size: int, classes: int, folder: Path) -> None:
    import torch  # noqa: PLC0415 - seconds, and a bundle that is there needs none of it

    from export.graph import ServingGraph, to_onnx  # noqa: PLC0415
    from export.quantise import quantise  # noqa: PLC0415
    from training.network import build  # noqa: PLC0415

    torch.manual_seed(0)
    fp32 = to_onnx(ServingGraph(build(classes).eval(), temperature=1.0), image_size)
    onnx.save(fp32, folder / bundle.FP32_MODEL)
    pixels = np.random.default_rng(0).integers(0, 256, (CALIBRATION_PHOTOS, image_size, image_size, 3), dtype=np.uint8)
    onnx.save(quantise(fp32, pixels), folder / bundle.MODEL)


def _manifest(image_size: int, labels: Sequence[str], folder: Path) -> Manifest:
    spec = ImageSpec(height=image_size, width=image_size)
    session = Session(folder / bundle.MODEL, spec, len(labels), threads=1)
    unknown = Scores(accuracy=0.0, precision=0.0, recall=0.0, f1=0.0, log_loss=0.0, calibration_error=0.0)
    return Manifest(
        schema_version=bundle.SCHEMA_VERSION,
        name="random-weights",
        version=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        labels=list(labels),
        input=spec,
        temperature=1.0,
        abstain_threshold=0.0,
        metrics=Metrics(photos=0, fp32=unknown, int8=unknown, agreement=0.0, answered=0.0, answered_precision=0.0),
        gates=[],
        dataset=Dataset(sha256="0" * 64, train_photos=0, validation_photos=0),
        weights=RANDOM,
        epochs=0,
        seed=0,
        git_commit=None,
        mlflow_run=None,
        reference=Reference(
            labels=dict.fromkeys(labels, 1 / len(labels)), confidence=[1 / BINS] * BINS, brightness=[1 / BINS] * BINS
        ),
        golden=[
            GoldenCase(
                name, 0, [min(1.0, p) for p in session.infer(draw(name, 0, spec)[np.newaxis]).probabilities[0].tolist()]
            )
            for name in PATTERNS
        ],
        files={file: describe_file(folder / file) for file in (bundle.MODEL, bundle.FP32_MODEL)},
    )
