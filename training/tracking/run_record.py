"""MLflow run record: parameters, metrics by epoch, resources, report, dataset, model, source."""

from __future__ import annotations

import io
import logging
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mlflow
import msgspec
import numpy as np
import torch
from mlflow.entities import Metric, Param, RunTag
from mlflow.models import infer_signature

from runtime.names import UNKNOWN
from training.data.dataset import MANIFEST, Dataset, Split
from training.evaluation.report import Evaluation
from training.files import CHECKPOINT, HISTORY, RESOURCES, SIZES
from training.learning.history import KEPT_BECAUSE, EpochFigures, read_history
from training.model.checkpoint import Checkpoint
from training.tracking.resources import read_samples
from training.tracking.server import DONE_TAG, Tracker

SOURCES = ("training", "export", "runtime")
MODEL = "checkpoint"
ROOT = Path(__file__).parents[2]


class Training(NamedTuple):
    """A finished training: its key, which no other has, what people see as its name (the model's version), the folders
    that `fit` and `evaluate` made, its dataset."""

    key: str
    name: str
    folder: Path
    report: Path
    dataset: Dataset


class Tracked(NamedTuple):
    """Where a training is now."""

    run_id: str
    url: str


def log_training(tracker: Tracker, training: Training, tags: Mapping[str, str]) -> Tracked:
    """Log everything of a training; one that is there whole is left as it is. Raises TrackerAway, CheckpointError."""
    checkpoint = Checkpoint.load(training.folder / CHECKPOINT)
    run = tracker.run_named(training.key, name=training.name)
    run_id = run.info.run_id
    if DONE_TAG not in run.data.tags:
        with tracker.answering():
            tracker.client.log_batch(run_id, params=_params(checkpoint, training.dataset), tags=_tags(checkpoint, tags))
            for metrics in _metrics(training):
                tracker.client.log_batch(run_id, metrics=metrics)
            _log_files(tracker, run_id, training)
            _log_model(run_id, checkpoint)
            tracker.client.set_tag(run_id, DONE_TAG, "training")
        tracker.finish(run_id)
    return Tracked(run_id, tracker.page_of(run_id))


def _params(checkpoint: Checkpoint, dataset: Dataset) -> list[Param]:
    values = {
        "image_size": checkpoint.image_size,
        "epochs": checkpoint.epochs,
        "weights": checkpoint.weights,
        "seed": checkpoint.seed,
        "precision": checkpoint.precision,
        "labels": ", ".join(checkpoint.labels),
        "train_photos": _count(dataset, "train"),
        "validation_photos": _count(dataset, "validation"),
        "other_photos": len(dataset.photos()) - _count(dataset),
        "validation_fraction": dataset.manifest.validation_fraction,
    }
    return [Param(name, str(value)) for name, value in values.items()]


def _count(dataset: Dataset, split: Split | None = None) -> int:
    """How many photos show one of the labels."""
    return sum(photo.label != UNKNOWN for photo in dataset.photos(split))


def _tags(checkpoint: Checkpoint, tags: Mapping[str, str]) -> list[RunTag]:
    ours = {
        "dataset.sha256": checkpoint.dataset_sha256,
        "git.commit": checkpoint.git_commit or "unknown",
        "kept_epoch": str(checkpoint.epochs),
        "kept_because": KEPT_BECAUSE,
    }
    return [RunTag(name, value) for name, value in {**ours, **tags}.items()]


def _metrics(training: Training) -> list[list[Metric]]:
    """Batches of points. Times are those of the training, so that logging them again changes nothing."""
    samples = read_samples(training.folder / RESOURCES)
    began_s = samples[0].time_s if samples else (training.folder / HISTORY).stat().st_mtime
    machine = [
        Metric(name, value, round(sample.time_s * 1000), step)
        for step, sample in enumerate(samples)
        for name, value in sample.figures.items()
    ]
    epochs, ended_s = [], began_s
    for epoch in read_history(training.folder / HISTORY).epochs:
        ended_s += epoch.seconds
        epochs += [Metric(name, value, round(ended_s * 1000), epoch.epoch) for name, value in _figures(epoch)]
    evaluation = msgspec.json.decode((training.report / "metrics.json").read_bytes(), type=Evaluation)
    final = {
        "accuracy": evaluation.accuracy.value,
        "accuracy_low": evaluation.accuracy.low,
        "accuracy_high": evaluation.accuracy.high,
        "precision": evaluation.precision.value,
        "recall": evaluation.recall.value,
        "f1": evaluation.f1.value,
        "log_loss": evaluation.log_loss,
        "calibration_error": evaluation.calibration_error,
    }
    if unknown := evaluation.unknown:
        shown = unknown.as_they_are
        final["own_called_unknown"] = shown.own_called_unknown.value
        final["things_answered_with_certainty"] = shown.things_certain.value
        final["kinds_answered_with_certainty"] = shown.kinds_certain.value
        if unknown.auroc is not None:
            final["unknown_auroc"] = unknown.auroc
    report = [Metric(name, value, round(ended_s * 1000), 0) for name, value in final.items()]
    points = machine + epochs + report
    return [points[start : start + 1000] for start in range(0, len(points), 1000)]


def _figures(epoch: EpochFigures) -> list[tuple[str, float]]:
    fields = msgspec.structs.asdict(epoch)
    shown = {name: value for name, value in fields.items() if name not in ("epoch", "seconds") and value is not None}
    return [(name, float(value)) for name, value in shown.items()]


def _log_files(tracker: Tracker, run_id: str, training: Training) -> None:
    client = tracker.client
    client.log_artifacts(run_id, str(training.report), "evaluation")
    client.log_artifact(run_id, str(training.dataset.path / MANIFEST), "dataset")
    for name in (CHECKPOINT, HISTORY, SIZES):
        if name == SIZES and not (training.folder / name).exists():
            continue  # the size was given
        client.log_artifact(run_id, str(training.folder / name), "training")
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "source.tar.gz"
        archive.write_bytes(source_archive())
        client.log_artifact(run_id, str(archive), "source")


def source_archive() -> bytes:
    """The source that trains and exports, as a tar.gz; of the same source always the same bytes but for gzip's own."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as archive:
        for room in SOURCES:
            for file in sorted((ROOT / room).rglob("*")):
                if file.suffix in (".py", ".json", ".j2") and "default" not in file.parts:
                    info = archive.gettarinfo(str(file), str(file.relative_to(ROOT)))
                    info.uid = info.gid = info.mtime = 0
                    info.uname = info.gname = ""
                    with file.open("rb") as content:
                        archive.addfile(info, content)
    return stream.getvalue()


def _log_model(run_id: str, checkpoint: Checkpoint) -> None:
    """The network as MLflow's own PyTorch model: normalised pixels [N, 3, size, size] in, logits [N, C] out."""
    logging.getLogger("torch._export").setLevel(logging.ERROR)  # it warns of batches of one, which are fine
    network = checkpoint.network()
    pixels = np.zeros((1, 3, checkpoint.image_size, checkpoint.image_size), np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(pixels)).numpy()
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        mlflow.pytorch.log_model(
            network,
            name=MODEL,
            signature=infer_signature(pixels, logits),
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "torchvision==0.28.0", "numpy"],
            input_example=pixels,
            serialization_format="pt2",  # loading it runs no code, as unpickling would
        )
